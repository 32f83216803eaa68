//! Where rows come from: memory, or a file that is read ahead of the one who learns from it.

use std::ops::RangeInclusive;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::JoinHandle;

use statera_kernels::Scalar;

use super::row_file::{RowFile, RowLayout, RowReader};
use super::rows::Rows;
use super::windows::Windows;
use crate::error::{Error, Result};

/// Rows to learn from or to watch.
#[derive(Debug, Clone, Copy)]
pub enum Source<'a, T> {
    /// All of them in memory.
    Memory(&'a Rows<T>),
    /// In a file, of which little is in memory at a time.
    File(&'a RowFile),
}

impl<'a, T> From<&'a Rows<T>> for Source<'a, T> {
    fn from(rows: &'a Rows<T>) -> Self {
        Self::Memory(rows)
    }
}

impl<'a, T> From<&'a RowFile> for Source<'a, T> {
    fn from(file: &'a RowFile) -> Self {
        Self::File(file)
    }
}

impl<T: Scalar> Source<'_, T> {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Memory(rows) => rows.len(),
            Self::File(file) => file.len(),
        }
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// A copy of the rows numbered `order`.
    pub fn picked(&self, order: &[u32], n_inputs: usize) -> Result<Rows<T>> {
        match self {
            Self::Memory(rows) => Ok(rows.picked(order, n_inputs)),
            Self::File(file) => file.picked(order),
        }
    }

    /// Memory for a batch of `n_rows` of these rows; `mixes` says whether each is to be mixed of two.
    pub(super) fn batch(&self, n_rows: usize, n_inputs: usize, mixes: bool) -> Rows<T> {
        match self {
            Self::Memory(rows) => rows.batch(n_rows, n_inputs, mixes),
            Self::File(file) => file.layout().rows(0).batch(n_rows, n_inputs, mixes),
        }
    }
}

/// The windows of all epochs, one after the other.
pub(super) enum Feed<'a, T> {
    Memory(&'a Rows<T>),
    File(ReadAhead<T>),
}

impl<'a, T: Scalar + 'static> Feed<'a, T> {
    /// The windows of these epochs.
    pub(super) fn new(
        source: Source<'a, T>,
        windows: &Windows,
        seed: u64,
        shuffle: bool,
        epochs: RangeInclusive<usize>,
    ) -> Result<Self> {
        Ok(match source {
            Source::Memory(rows) => Self::Memory(rows),
            Source::File(file) => {
                let epochs = Epochs { windows: windows.clone(), seed, shuffle, all: epochs };
                Self::File(ReadAhead::start(file.reader()?, file.layout(), epochs)?)
            }
        })
    }

    /// The next window's rows, which `order` then numbers as they stand in the table; `groups` is the order of its
    /// epoch. Of rows in memory all are given, of which the window's are those of `order`.
    pub(super) fn next(
        &mut self,
        windows: &Windows,
        groups: &[u32],
        window: usize,
        order: &mut Vec<u32>,
    ) -> Result<&Rows<T>> {
        order.clear();
        match self {
            Self::Memory(rows) => {
                let numbers = |stretch: std::ops::Range<usize>| stretch.start as u32..stretch.end as u32;
                windows.stretches(groups, window).for_each(|stretch| order.extend(numbers(stretch)));
                Ok(rows)
            }
            Self::File(ahead) => {
                let rows = ahead.next()?;
                order.extend(0..rows.len() as u32);
                Ok(rows)
            }
        }
    }
}

/// What is to be read.
struct Epochs {
    windows: Windows,
    seed: u64,
    shuffle: bool,
    all: RangeInclusive<usize>,
}

/// Where windows come from, and where those that have been learned from go to be filled again.
type Ends<T> = (Receiver<Result<Rows<T>>>, SyncSender<Rows<T>>);

/// A thread that reads the next window while one is learned from: two windows are in memory, and no more.
pub(super) struct ReadAhead<T> {
    current: Option<Rows<T>>,
    /// Both ends are given up before the thread is waited for.
    ends: Option<Ends<T>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Scalar + 'static> ReadAhead<T> {
    fn start(reader: RowReader, layout: RowLayout, epochs: Epochs) -> Result<Self> {
        let (send_full, full) = sync_channel(2);
        let (empty, take_empty) = sync_channel(2);
        for _ in 0..2 {
            // There is room for both.
            let _ = empty.send(layout.rows(epochs.windows.max_rows()));
        }
        let run = move || read_ahead(reader, &epochs, &take_empty, &send_full);
        let thread = std::thread::Builder::new().name("read ahead".into()).spawn(run).map_err(|e| {
            Error::training(format!("no thread can be started to read rows: {e}"), "end other programs first")
        })?;
        Ok(Self { current: None, ends: Some((full, empty)), thread: Some(thread) })
    }

    fn next(&mut self) -> Result<&Rows<T>> {
        let gone = || Error::training("the thread that reads rows has ended early", "train again");
        let (full, empty) = self.ends.as_ref().ok_or_else(gone)?;
        if let Some(read) = self.current.take() {
            // The thread has ended once it has read all there is.
            let _ = empty.send(read);
        }
        Ok(self.current.insert(full.recv().map_err(|_| gone())??))
    }
}

impl<T> Drop for ReadAhead<T> {
    fn drop(&mut self) {
        self.ends = None;
        if let Some(thread) = self.thread.take() {
            // What went wrong there has been told by way of the channel.
            let _ = thread.join();
        }
    }
}

fn read_ahead<T: Scalar>(
    mut reader: RowReader,
    epochs: &Epochs,
    empty: &Receiver<Rows<T>>,
    full: &SyncSender<Result<Rows<T>>>,
) {
    let mut groups = Vec::new();
    for epoch in epochs.all.clone() {
        epochs.windows.order(epochs.seed, epoch, epochs.shuffle, &mut groups);
        for window in 0..epochs.windows.len() {
            let Ok(mut rows) = empty.recv() else { return };
            rows.clear();
            let mut stretches = epochs.windows.stretches(&groups, window);
            let read = stretches.try_for_each(|stretch| reader.append(stretch, &mut rows)).map(|()| rows);
            let failed = read.is_err();
            if full.send(read).is_err() || failed {
                return;
            }
        }
    }
}
