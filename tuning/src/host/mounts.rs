//! Which file system a path lies on: `/proc/self/mountinfo`, read once.
//!
//! Not covered: bind mounts are shown with the kind of what they bind, which is what matters here.
//!
//! Source: proc_pid_mountinfo(5).

use std::path::{Path, PathBuf};

/// A mounted file system.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Where its tree begins.
    pub point: PathBuf,
    /// The kernel's name for its kind: `ext4`, `xfs`, `tmpfs`.
    pub kind: String,
}

/// The mount that `path` (absolute, without symbolic links) lies on. Of several on one point the last
/// hides the others.
pub(crate) fn mount_of<'a>(mounts: &'a [Mount], path: &Path) -> Option<&'a Mount> {
    let above = mounts.iter().filter(|mount| path.starts_with(&mount.point));
    above.max_by_key(|mount| mount.point.components().count())
}

/// The text of mountinfo; lines of another form are left out.
pub(super) fn parse(mountinfo: &str) -> Vec<Mount> {
    mountinfo.lines().filter_map(line).collect()
}

/// `27 1 254:0 / /mnt rw,relatime shared:1 - ext4 /dev/vda rw`: the point is the fifth field, the kind
/// the first behind the dash.
fn line(line: &str) -> Option<Mount> {
    let (fields, source) = line.split_once(" - ")?;
    let point = fields.split(' ').nth(4)?;
    let kind = source.split(' ').next()?;
    Some(Mount { point: PathBuf::from(unescaped(point)), kind: kind.to_owned() })
}

/// Blank, tab, line feed and backslash are written as three octal digits behind a backslash.
fn unescaped(point: &str) -> String {
    let escapes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    escapes.iter().fold(point.to_owned(), |text, (code, letter)| text.replace(code, letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOST: &str = "22 27 0:21 / /proc rw,relatime - proc proc rw\n\
        27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard\n\
        not a line\n\
        28 27 0:30 / /mnt/a\\040disk rw - xfs /dev/vdb rw\n\
        29 27 0:31 / /mnt rw master:2 propagate_from:3 - tmpfs none rw\n\
        30 27 0:32 / /mnt rw - ramfs none rw\n";

    #[test]
    fn a_path_lies_on_the_innermost_mount_and_the_last_of_equals() {
        let mounts = parse(HOST);
        assert_eq!(mounts.len(), 5);
        let kind = |path| mount_of(&mounts, Path::new(path)).map(|mount| mount.kind.as_str());
        assert_eq!(kind("/var/lib/ringmain"), Some("ext4"));
        assert_eq!(kind("/mnt/a disk/data"), Some("xfs"));
        assert_eq!(kind("/mnt/a"), Some("ramfs"));
        assert_eq!(kind("/mntx"), Some("ext4"));
        assert_eq!(mount_of(&[], Path::new("/")), None);
    }
}
