//! Memory that begins where the CPU likes it.

use std::ops::{Deref, DerefMut};

use statera_kernels::Scalar;

/// Numbers at a chosen place of a memory page.
///
/// A loop over several arrays stumbles where they begin at the same place of their pages: a load then looks, by its
/// lower twelve bits, like one of the number just stored ("4K aliasing"), and waits. Over the four arrays of an
/// Adam step this is a third of the time. Arrays that are used together therefore take different
/// `quarter`s of a page, and all begin a cache line.
#[derive(Debug)]
pub struct Buffer<T> {
    memory: Vec<T>,
    start: usize,
    len: usize,
    quarter: usize,
}

/// Bytes of a memory page.
const PAGE: usize = 4096;

impl<T: Scalar> Buffer<T> {
    /// `len` zeros, from a quarter (0 to 3) of a page on; takes up to two pages more than they need.
    pub fn new(len: usize, quarter: usize) -> Self {
        if len == 0 {
            return Self { memory: Vec::new(), start: 0, len, quarter };
        }
        let page = PAGE / size_of::<T>();
        let memory = vec![T::ZERO; len + 2 * page];
        let to_page = memory.as_ptr().align_offset(PAGE);
        // Where alignment cannot be told, any place is right.
        let start = if to_page < page { to_page + quarter % 4 * page / 4 } else { 0 };
        Self { memory, start, len, quarter }
    }

    /// The numbers of `from`, from a quarter of a page on.
    pub fn of(from: &[T], quarter: usize) -> Self {
        let mut buffer = Self::new(from.len(), quarter);
        buffer.copy_from_slice(from);
        buffer
    }
}

impl<T: Scalar> Clone for Buffer<T> {
    fn clone(&self) -> Self {
        Self::of(self, self.quarter)
    }
}

impl<T> Deref for Buffer<T> {
    type Target = [T];
    fn deref(&self) -> &[T] {
        &self.memory[self.start..self.start + self.len]
    }
}

impl<T> DerefMut for Buffer<T> {
    fn deref_mut(&mut self) -> &mut [T] {
        &mut self.memory[self.start..self.start + self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::Buffer;

    #[test]
    fn a_buffer_begins_at_its_quarter_of_a_page_and_so_does_its_clone() {
        for quarter in 0..4 {
            let mut buffer = Buffer::<f32>::new(1000, quarter);
            buffer[999] = 1.0;
            for buffer in [buffer.clone(), buffer] {
                assert_eq!(buffer.as_ptr() as usize % 4096, quarter * 1024);
                assert_eq!((buffer.len(), buffer[998], buffer[999]), (1000, 0.0, 1.0));
            }
        }
        assert!(Buffer::<f64>::new(0, 1).is_empty());
    }
}
