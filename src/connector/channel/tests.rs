use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use super::super::stub::{Taken, poll, read};
use super::*;
use crate::operator::{OnBadRecord, Progress, Sink, Source, Split, Writer};
use crate::ring::Bells;
use crate::time::Timestamp;

type Boxed = Box<dyn Split<u64>>;

fn look(split: &mut Boxed) -> (Progress, Vec<u64>) {
    let mut taken = Taken { records: Vec::new(), bad: Vec::new(), bad_count: 0, batches: 0 };
    let progress = poll(0, &mut **split, OnBadRecord::Fail, &mut taken).unwrap();
    (progress, taken.records)
}

fn splits(source: &ChannelSource<u64>, count: usize) -> Vec<Boxed> {
    let mut splits = source.splits(count).unwrap();
    let bells = Bells::new(count);
    splits.iter_mut().enumerate().for_each(|(shard, split)| split.open(bells.ringer(shard)));
    splits
}

#[test]
fn senders_are_dealt_to_the_splits_with_the_fewest() {
    let (first, source) = Channel::source::<u64>(4);
    let mut senders = vec![first.clone()];
    let mut splits = splits(&source, 3);
    senders.extend([first.clone(), first.clone()]);
    (0_u64..).zip(&mut senders).for_each(|(i, sender)| sender.send(i).unwrap());
    let mut read = splits.iter_mut().map(|split| look(split).1);
    // The first sender was dealt to split 0.
    assert_eq!([(); 3].map(|()| read.next().unwrap()), [vec![2], vec![0], vec![1]]);
    drop(read);
    // The only one of split 2 goes, and its place is taken.
    drop(senders.remove(1));
    assert!(!splits[2].is_vacant());
    assert_eq!(look(&mut splits[2]).0, Progress::Parked);
    assert!(splits[2].is_vacant());
    let mut other = first.clone();
    other.send(9).unwrap();
    assert_eq!(look(&mut splits[2]), (Progress::Busy, vec![9]));
}

#[test]
fn a_source_ends_with_its_last_sender_when_all_is_read() {
    let (mut first, source) = Channel::source::<u64>(4);
    let mut splits = splits(&source, 2);
    let mut second = first.clone();
    first.send_batch([1, 2]).unwrap();
    drop(first);
    second.send(3).unwrap();
    assert_eq!(look(&mut splits[0]), (Progress::Busy, vec![1, 2]));
    assert_eq!(look(&mut splits[0]).0, Progress::Parked, "there may be a clone of the second");
    drop(second);
    assert_eq!(look(&mut splits[0]).0, Progress::Done);
    assert_eq!(look(&mut splits[1]), (Progress::Busy, vec![3]));
    assert_eq!(look(&mut splits[1]).0, Progress::Done);
}

#[test]
fn what_was_sent_before_the_start_is_read() {
    let (mut sender, source) = Channel::source::<u64>(100);
    assert_eq!(sender.capacity(), 128);
    sender.send_batch(0..100).unwrap();
    assert_eq!(sender.room(), 28);
    drop(sender);
    assert_eq!(read(&source, 3).unwrap().records, (0..100).collect::<Vec<_>>());
}

#[test]
fn lanes_wait_between_a_failure_and_a_restart() {
    let (mut sender, source) = Channel::source::<u64>(4);
    let mut before = splits(&source, 2);
    sender.send(1).unwrap();
    assert_eq!(look(&mut before[0]), (Progress::Busy, vec![1]));
    sender.send(2).unwrap();
    drop(before);
    sender.send(3).unwrap();
    let mut clone = sender.clone();
    clone.send(4).unwrap();
    let mut after = splits(&source, 2);
    assert_eq!(look(&mut after[0]), (Progress::Busy, vec![2, 3]));
    assert_eq!(look(&mut after[1]), (Progress::Busy, vec![4]));
    drop(after);
    assert_eq!(sender.try_send(5), Ok(()));
    drop(source);
    assert_eq!(sender.try_send(6), Err(TrySendError::Ended(6)));
    assert_eq!(clone.clone().send(7), Err(SendError(7)));
}

#[test]
fn a_split_that_never_ran_leaves_its_lanes_to_the_others() {
    let (mut sender, source) = Channel::source::<u64>(4);
    sender.send(1).unwrap();
    let mut splits = source.splits(2).unwrap();
    drop(splits.remove(0));
    assert_eq!(look(&mut splits[0]), (Progress::Busy, vec![1]));
}

#[test]
fn a_stop_closes_the_lanes_and_lets_what_was_sent_be_read() {
    let (mut sender, source) = Channel::source::<u64>(4);
    let mut splits = splits(&source, 1);
    sender.send(1).unwrap();
    assert!(splits[0].stop());
    assert_eq!(sender.try_send(2), Err(TrySendError::Ended(2)));
    assert_eq!(sender.send_batch([2]), Err(Ended));
    assert!(sender.clone().is_ended());
    assert_eq!(look(&mut splits[0]), (Progress::Busy, vec![1]));
    assert_eq!(look(&mut splits[0]).0, Progress::Parked);
}

#[test]
fn rings_that_are_too_large_are_refused() {
    let (mut sender, source) = Channel::source::<u64>(1 << 40);
    let error = source.splits(1).err().unwrap().to_string();
    assert!(error.contains("give it 4194304 or fewer"), "{error}");
    sender.send(1).unwrap();
    let (sink, _receiver) = Channel::sink::<u64>(1 << 40);
    let error = sink.check(1, None).unwrap_err().to_string();
    assert!(error.contains("may take 67108864 in all"), "{error}");
}

fn writers(sink: &mut ChannelSink<u64>, shards: usize) -> Vec<ChannelWriter<u64>> {
    let bells = Bells::new(shards);
    let writer = |shard| {
        let mut writer = sink.open(shard, shards).unwrap();
        writer.open(bells.ringer(shard));
        writer
    };
    (0..shards).map(writer).collect()
}

fn write(writer: &mut ChannelWriter<u64>, records: std::ops::Range<u64>) {
    records.into_iter().for_each(|n| writer.write(Timestamp::MIN, n).unwrap());
}

#[test]
fn a_writer_without_room_keeps_what_comes_and_is_not_ready() {
    let (mut sink, mut receiver) = Channel::sink::<u64>(4);
    let mut writer = writers(&mut sink, 1).remove(0);
    write(&mut writer, 0..3);
    assert!(writer.ready());
    write(&mut writer, 3..4);
    assert!(!writer.ready());
    assert_eq!(writer.poll(), Ok(Progress::Done));
    write(&mut writer, 4..10);
    assert_eq!(writer.poll(), Ok(Progress::Parked));
    assert_eq!(receiver.try_recv(), Ok(0));
    assert!(!writer.ready());
    assert_eq!(writer.poll(), Ok(Progress::Busy));
    assert_eq!(writer.poll(), Ok(Progress::Parked));
    assert_eq!(receiver.by_ref().take(7).collect::<Vec<_>>(), (1..8).collect::<Vec<_>>());
    assert_eq!(writer.poll(), Ok(Progress::Busy));
    assert_eq!(writer.poll(), Ok(Progress::Done));
    assert!(writer.ready());
    write(&mut writer, 10..20);
    writer.finish().unwrap();
    assert_eq!(writer.poll(), Ok(Progress::Done), "what waits is the receiver's now");
    drop((writer, sink));
    assert_eq!(receiver.collect::<Vec<_>>(), (8..20).collect::<Vec<_>>());
}

#[test]
fn a_receiver_that_is_dropped_frees_the_writer() {
    let (mut sink, receiver) = Channel::sink::<u64>(2);
    let mut writer = writers(&mut sink, 1).remove(0);
    write(&mut writer, 0..10);
    assert!(!writer.ready());
    drop(receiver);
    assert_eq!(writer.poll(), Ok(Progress::Busy));
    assert_eq!(writer.poll(), Ok(Progress::Done));
    write(&mut writer, 0..10);
    assert!(writer.ready());
    let mut later = sink.open(0, 1).unwrap();
    write(&mut later, 0..10);
    assert!(later.ready());
}

#[test]
fn a_receiver_ends_with_the_last_writer() {
    let (mut sink, mut receiver) = Channel::sink::<u64>(4);
    let mut two = writers(&mut sink, 2);
    write(&mut two[1], 7..8);
    drop(two.remove(1));
    assert_eq!(receiver.try_recv(), Ok(7));
    drop(two);
    assert_eq!(receiver.try_recv(), Err(TryRecvError::Empty), "a restart may open others");
    let mut again = writers(&mut sink, 2);
    write(&mut again[0], 8..9);
    drop((again, sink));
    assert_eq!(receiver.recv(), Some(8));
    assert_eq!(receiver.recv(), None);
}

/// Counts wake-ups.
#[derive(Default)]
struct Woken(std::sync::atomic::AtomicUsize);

impl std::task::Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    }
}

#[test]
fn futures_wake_their_task() {
    let woken = Arc::new(Woken::default());
    let waker = Waker::from(woken.clone());
    let mut context = Context::from_waker(&waker);
    let count = || woken.0.load(std::sync::atomic::Ordering::Relaxed);

    let (mut sender, source) = Channel::source::<u64>(2);
    let mut splits = splits(&source, 1);
    sender.send_batch([1, 2]).unwrap();
    {
        let mut send = pin!(sender.send_async(3));
        assert_eq!(send.as_mut().poll(&mut context), Poll::Pending);
        assert_eq!(look(&mut splits[0]).1, [1, 2]);
        assert_eq!(count(), 1);
        assert_eq!(send.as_mut().poll(&mut context), Poll::Ready(Ok(())));
    }
    sender.send(4).unwrap();
    {
        let mut send = pin!(sender.send_async(5));
        assert_eq!(send.as_mut().poll(&mut context), Poll::Pending);
        drop((splits, source));
        assert_eq!(count(), 2);
        assert_eq!(send.as_mut().poll(&mut context), Poll::Ready(Err(SendError(5))));
    }

    let (mut sink, mut receiver) = Channel::sink::<u64>(2);
    let mut writer = writers(&mut sink, 1).remove(0);
    {
        let mut recv = pin!(receiver.recv_async());
        assert_eq!(recv.as_mut().poll(&mut context), Poll::Pending);
        write(&mut writer, 1..2);
        assert_eq!(count(), 2, "the batch goes on");
        writer.flush().unwrap();
        assert_eq!(count(), 3);
        assert_eq!(recv.as_mut().poll(&mut context), Poll::Ready(Some(1)));
    }
    let mut recv = pin!(receiver.recv_async());
    assert_eq!(recv.as_mut().poll(&mut context), Poll::Pending);
    drop((writer, sink));
    assert!(count() > 3);
    assert_eq!(recv.as_mut().poll(&mut context), Poll::Ready(None));
}

#[test]
fn handles_go_to_any_thread() {
    fn sent<T: Send + Sync>(_: &T) {}
    fn future<T: Send>(_: T) {}
    let (mut sender, source) = Channel::source::<String>(2);
    let (sink, mut receiver) = Channel::sink::<String>(2);
    sent(&sender);
    sent(&receiver);
    future(sender.send_async("a".into()));
    future(receiver.recv_async());
    drop((source, sink));
}
