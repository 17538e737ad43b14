//! Reading, writing, syncing, allocating.

use std::path::Path;

use engine::memory::AppendBlock;
use engine::rt::{Errno, File, Group, OpenOptions, Rt, WRITE_PARTS_MAX, WriteBuf, WriteFlags};

use crate::harness::{contract, filled};

async fn direct(rt: &Rt, dir: &Path) -> File {
    rt.open(&dir.join("file"), OpenOptions::direct()).await.unwrap()
}

contract!(what_is_written_is_read, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    for (index, flags) in [WriteFlags::NONE, WriteFlags::DSYNC].into_iter().enumerate() {
        let offset = index as u64 * 8192;
        let (result, back) = file.write_at(filled(rt, 8192, 7), offset, flags).await;
        assert_eq!(result, Ok(8192));
        assert!(matches!(back, WriteBuf::Buf { .. }));
        let (result, buf) = file.read_at(filled(rt, 8192, 0), offset, 8192).await;
        assert_eq!((result, &buf[..]), (Ok(8192), &[7; 8192][..]));
    }
    assert_eq!(file.len().await, Ok(16384));
});

contract!(parts_are_written_one_behind_the_other, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    let part = |byte, blocks: usize| WriteBuf::from(filled(rt, blocks * 4096, byte));
    let view = WriteBuf::View(filled(rt, 8192, 3).freeze().slice(4096..8192));
    for flags in [WriteFlags::NONE, WriteFlags::DSYNC] {
        let parts = vec![part(1, 1), part(2, 3)];
        let (result, home) = file.write_many_at(parts, 4096, flags).await;
        assert_eq!((result, home.len(), home[1].len()), (Ok(16384), 2, 12288));
    }
    let (result, _) = file.write_many_at(vec![view], 20480, WriteFlags::DSYNC).await;
    assert_eq!(result, Ok(4096));
    let (result, buf) = file.read_at(filled(rt, 32768, 9), 4096, 32768).await;
    assert_eq!(result, Ok(20480));
    let firsts: Vec<u8> = buf[..20480].chunks(4096).map(|block| block[0]).collect();
    assert_eq!(firsts, [1, 2, 2, 2, 3]);
});

contract!(more_parts_than_one_write_takes_are_a_short_count, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    let view = filled(rt, 4096, 3).freeze().slice(0..4096);
    let parts = |count| (0..count).map(|_| WriteBuf::View(view.clone())).collect::<Vec<_>>();
    let most = parts(WRITE_PARTS_MAX + 5);
    let (result, home) = file.write_many_at(most, 0, WriteFlags::NONE).await;
    assert_eq!((result, home.len()), (Ok(WRITE_PARTS_MAX * 4096), WRITE_PARTS_MAX + 5));
    let odd = vec![WriteBuf::View(view.slice(0..100)), WriteBuf::View(view.slice(0..4096))];
    let (result, _) = file.write_many_at(odd, 0, WriteFlags::NONE).await;
    assert_eq!(result, Err(Errno::EINVAL));
});

contract!(reads_are_short_at_the_end, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    let (result, _) = file.write_at(filled(rt, 4096, 1), 0, WriteFlags::NONE).await;
    assert_eq!(result, Ok(4096));
    let (result, buf) = file.read_at(filled(rt, 16384, 9), 0, 16384).await;
    assert_eq!(result, Ok(4096));
    assert!(buf[..4096].iter().all(|b| *b == 1));
    assert_eq!(file.read_at(buf, 4096, 4096).await.0, Ok(0));
});

contract!(plain_files_take_any_offset_and_length, async |rt: &Rt, dir: &Path| {
    let options = OpenOptions { read: true, write: true, create: true, ..OpenOptions::default() };
    let file = rt.open(&dir.join("plain"), options).await.unwrap();
    let data = WriteBuf::Buf { buf: filled(rt, 4096, 5), range: 3..14 };
    assert_eq!(file.write_at(data, 100, WriteFlags::NONE).await.0, Ok(11));
    let (result, buf) = file.read_at(filled(rt, 4096, 9), 95, 300).await;
    assert_eq!((result, &buf[..6], buf[15]), (Ok(16), &[0, 0, 0, 0, 0, 5][..], 5));
});

contract!(direct_files_refuse_what_is_not_aligned, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    assert_eq!(file.write_at(filled(rt, 8192, 1), 0, WriteFlags::NONE).await.0, Ok(8192));
    let part = |range| WriteBuf::Buf { buf: filled(rt, 8192, 1), range };
    let off = [
        file.write_at(part(0..4096), 100, WriteFlags::NONE).await.0,
        file.write_at(part(0..100), 0, WriteFlags::NONE).await.0,
        file.write_at(part(100..4196), 0, WriteFlags::NONE).await.0,
        file.read_at(filled(rt, 4096, 0), 100, 4096).await.0,
        file.read_at(filled(rt, 4096, 0), 0, 100).await.0,
    ];
    assert_eq!(off, [Err(Errno::EINVAL); 5]);
    let align = file.stat().await.unwrap().direct_align;
    assert!(align.is_power_of_two() && align <= 4096);
});

contract!(handles_do_only_what_they_were_opened_for, async |rt: &Rt, dir: &Path| {
    let path = dir.join("file");
    let write = OpenOptions { write: true, create_new: true, ..OpenOptions::default() };
    let writer = rt.open(&path, write).await.unwrap();
    assert_eq!(writer.read_at(filled(rt, 4096, 0), 0, 1).await.0, Err(Errno::EBADF));
    let reader = rt.open(&path, OpenOptions::reading()).await.unwrap();
    let refused = reader.write_at(filled(rt, 4096, 0), 0, WriteFlags::NONE).await.0;
    assert_eq!(refused, Err(Errno::EBADF));
    assert_eq!(rt.open(&path, write).await.unwrap_err(), Errno::EEXIST);
});

contract!(allocation_extends_and_reads_as_zeros, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    file.allocate(0, 1 << 20).await.unwrap();
    assert_eq!(file.len().await, Ok(1 << 20));
    assert_eq!(file.write_at(filled(rt, 4096, 1), 8192, WriteFlags::NONE).await.0, Ok(4096));
    file.allocate(0, 65536).await.unwrap();
    assert_eq!(file.len().await, Ok(1 << 20));
    let (result, buf) = file.read_at(filled(rt, 16384, 9), 0, 16384).await;
    assert_eq!((result, buf[8191], buf[8192], buf[12288]), (Ok(16384), 0, 1, 0));
    file.sync_data().await.unwrap();
    file.sync_all().await.unwrap();
});

contract!(views_are_written_while_their_block_grows, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    let mut block = AppendBlock::new(rt.arena().alloc(16384).unwrap());
    block.append(&[1; 4096]);
    let (own, view) = (file.clone(), block.view(0..4096));
    let writing =
        rt.spawn(Group::Produce, async move { own.write_at(view, 0, WriteFlags::DSYNC).await.0 });
    rt.yield_now().await;
    block.append(&[2; 4096]);
    assert_eq!(writing.await.unwrap(), Ok(4096));
    let view = block.view(4096..8192);
    assert_eq!(file.write_at(view, 4096, WriteFlags::NONE).await.0, Ok(4096));
    let (result, buf) = file.read_at(filled(rt, 8192, 0), 0, 8192).await;
    assert_eq!((result, buf[4095], buf[4096]), (Ok(8192), 1, 2));
});

contract!(many_operations_at_once_all_end, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    let writes = (0..64u64).map(|index| {
        let data = filled(rt, 4096, index as u8);
        file.write_at(data, index * 4096, WriteFlags::NONE)
    });
    for (result, _) in engine::rt::sync::join_all(writes).await {
        assert_eq!(result, Ok(4096));
    }
    let (result, buf) = file.read_at(filled(rt, 64 * 4096, 0), 0, 64 * 4096).await;
    assert_eq!(result, Ok(64 * 4096));
    assert!(buf.chunks(4096).enumerate().all(|(index, block)| block[0] == index as u8));
});

contract!(a_dropped_write_keeps_its_buffer_until_it_is_through, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    for round in 0..20u64 {
        let data = filled(rt, 1 << 20, 1);
        let write = file.write_at(data, round << 20, WriteFlags::DSYNC);
        let limit = std::time::Duration::from_nanos(round * 1000);
        let _ = rt.timeout(limit, write).await;
    }
    // Buffers that are still out come home without anybody waiting for them.
    while rt.operations() > 0 {
        rt.sleep(std::time::Duration::from_millis(1)).await;
    }
    assert_eq!(rt.arena().used_bytes(), 0);
});

contract!(a_file_lives_until_its_last_handle, async |rt: &Rt, dir: &Path| {
    let file = direct(rt, dir).await;
    let clone = file.clone();
    file.close();
    rt.unlink(&dir.join("file")).await.unwrap();
    assert_eq!(clone.write_at(filled(rt, 4096, 3), 0, WriteFlags::NONE).await.0, Ok(4096));
    assert_eq!(clone.read_at(filled(rt, 4096, 0), 0, 4096).await.1[0], 3);
    assert_eq!(rt.stat(&dir.join("file")).await, Err(Errno::ENOENT));
});
