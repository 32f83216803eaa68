//! This part of the library.
