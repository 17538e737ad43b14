//! What `/proc` says of a process, as far as a start asks: since when, and whether it is still one.
//!
//! Sources: proc_pid_stat(5), proc_pid_status(5), PF_EXITING in the kernel's `linux/sched.h`.

/// Field `number` (from 1) of the text of `/proc/PID/stat`, from the third on. The name, field 2, may
/// hold anything, parentheses too.
pub(super) fn stat_field(stat: &str, number: usize) -> Option<&str> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(number.checked_sub(3)?)
}

/// The clock ticks since boot at which a process began: with its id, a name that is never given twice.
pub(super) fn began_ticks(stat: &str) -> Option<u64> {
    stat_field(stat, 22)?.parse().ok()
}

/// Whether the process of that id that began then (at any time, if that is unknown) still runs. One
/// that has been killed does not, even if the kernel is still at work on its end.
pub(super) fn runs(id: u32, began: Option<u64>) -> bool {
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{id}/{file}"));
    let (Ok(stat), Ok(status)) = (read("stat"), read("status")) else {
        return false;
    };
    let same = began.is_none() || began_ticks(&stat) == began;
    same && !is_ending(&stat, &status)
}

fn is_ending(stat: &str, status: &str) -> bool {
    const EXITING: u64 = 0x4;
    const KILLED: u64 = 1 << (9 - 1);
    let state = stat_field(stat, 3);
    let flags = stat_field(stat, 9).and_then(|flags| flags.parse::<u64>().ok());
    let pending = status.lines().filter_map(|line| {
        let mask = line.strip_prefix("SigPnd:").or_else(|| line.strip_prefix("ShdPnd:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    });
    matches!(state, Some("Z" | "X"))
        || flags.is_some_and(|flags| flags & EXITING != 0)
        || pending.fold(0, |all, mask| all | mask) & KILLED != 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(state: &str, flags: u64) -> String {
        format!("77 (a b) S 2 (c) {state} 1 1 1 0 -1 {flags} 9 0 0 0 1 2 0 0 20 0 3 0 1234 5 6 7")
    }

    #[test]
    fn fields_are_counted_behind_the_name_whatever_it_is() {
        assert_eq!(stat_field(&stat("S", 64), 3), Some("S"));
        assert_eq!(began_ticks(&stat("S", 64)), Some(1234));
        assert_eq!(began_ticks("77 (x) S 1"), None);
        assert_eq!(stat_field("", 22), None);
    }

    #[test]
    fn what_was_killed_runs_no_more() {
        let calm = "SigPnd:\t0000000000000000\nShdPnd:\t0000000000000000\n";
        assert!(!is_ending(&stat("D", 0x0040_0040), calm));
        assert!(is_ending(&stat("Z", 0x0040_0040), calm));
        assert!(is_ending(&stat("R", 0x0040_0044), calm));
        assert!(is_ending(&stat("D", 0), "ShdPnd:\t0000000000000100\n"));
        assert!(!is_ending(&stat("D", 0), "ShdPnd:\t0000000000004000\n"), "SIGTERM may be ignored");
    }

    #[test]
    fn a_process_is_known_by_its_beginning() {
        let id = std::process::id();
        let stat = std::fs::read_to_string("/proc/self/stat").expect("Linux");
        let began = began_ticks(&stat);
        assert!(runs(id, began) && runs(id, None));
        assert!(!runs(id, began.map(|ticks| ticks + 1)), "another process had that id");
        let mut child = std::process::Command::new("true").spawn().expect("a program");
        let ended = child.id();
        child.wait().expect("it ends");
        assert!(!runs(ended, None));
    }
}
