//! Directories and names.

use std::path::Path;

use engine::rt::{Errno, OpenOptions, Rt, WriteFlags};

use crate::harness::{contract, filled};

async fn touch(rt: &Rt, path: &Path) {
    drop(rt.open(path, OpenOptions::direct()).await.unwrap());
}

contract!(directories_are_made_listed_and_removed, async |rt: &Rt, dir: &Path| {
    let deep = dir.join("a/b/c");
    rt.create_dir_all(&deep).await.unwrap();
    rt.create_dir_all(&deep).await.unwrap();
    let file = rt.open(&dir.join("a/z"), OpenOptions::direct()).await.unwrap();
    assert_eq!(file.write_at(filled(rt, 4096, 0), 0, WriteFlags::NONE).await.0, Ok(4096));
    let listed = rt.list_dir(&dir.join("a")).await.unwrap();
    let listed: Vec<_> = listed.iter().map(|e| (e.name.as_str(), e.is_dir, e.len)).collect();
    assert_eq!(listed, [("b", true, 0), ("z", false, 4096)]);
    assert_eq!(rt.remove_dir(&dir.join("a/b")).await, Err(Errno::ENOTEMPTY));
    rt.remove_dir(&deep).await.unwrap();
    rt.remove_dir(&dir.join("a/b")).await.unwrap();
    assert_eq!(rt.remove_dir(&dir.join("a/b")).await, Err(Errno::ENOENT));
});

contract!(missing_and_mistaken_names_are_refused, async |rt: &Rt, dir: &Path| {
    touch(rt, &dir.join("f")).await;
    let read = OpenOptions::reading();
    assert_eq!(rt.open(&dir.join("x"), read).await.unwrap_err(), Errno::ENOENT);
    assert_eq!(rt.open(&dir.join("x/y"), OpenOptions::direct()).await.unwrap_err(), Errno::ENOENT);
    assert_eq!(rt.open(&dir.join("f/y"), read).await.unwrap_err(), Errno::ENOTDIR);
    assert_eq!(rt.open(dir, OpenOptions::direct()).await.unwrap_err(), Errno::EISDIR);
    assert_eq!(rt.unlink(&dir.join("x")).await, Err(Errno::ENOENT));
    assert_eq!(rt.unlink(dir).await, Err(Errno::EISDIR));
    assert_eq!(rt.list_dir(&dir.join("x")).await, Err(Errno::ENOENT));
    assert_eq!(rt.list_dir(&dir.join("f")).await, Err(Errno::ENOTDIR));
    assert_eq!(rt.remove_dir(&dir.join("f")).await, Err(Errno::ENOTDIR));
    assert_eq!(rt.create_dir_all(&dir.join("f")).await, Err(Errno::ENOTDIR));
    assert_eq!(rt.rename(&dir.join("x"), &dir.join("y")).await, Err(Errno::ENOENT));
    assert_eq!(rt.sync_dir(&dir.join("x")).await, Err(Errno::ENOENT));
});

contract!(a_rename_replaces, async |rt: &Rt, dir: &Path| {
    let (from, to) = (dir.join("from"), dir.join("to"));
    let file = rt.open(&from, OpenOptions::direct()).await.unwrap();
    assert_eq!(file.write_at(filled(rt, 4096, 1), 0, WriteFlags::NONE).await.0, Ok(4096));
    touch(rt, &to).await;
    rt.rename(&from, &to).await.unwrap();
    rt.sync_dir(dir).await.unwrap();
    assert_eq!(rt.stat(&from).await, Err(Errno::ENOENT));
    assert_eq!(rt.stat(&to).await.unwrap().len, 4096);
    rt.create_dir_all(&dir.join("sub")).await.unwrap();
    assert_eq!(rt.rename(&to, &dir.join("sub")).await, Err(Errno::EISDIR));
    rt.rename(&to, &dir.join("sub/moved")).await.unwrap();
    assert!(!rt.stat(&dir.join("sub/moved")).await.unwrap().is_dir);
    rt.rename(&dir.join("sub"), &dir.join("other")).await.unwrap();
    assert_eq!(rt.stat(&dir.join("other/moved")).await.unwrap().len, 4096);
});
