//! Unix milliseconds as UTC text, dates and durations as milliseconds.
//!
//! The calendar is the proleptic Gregorian one, computed in 400-year cycles of 146,097 days that
//! begin on 1 March, so that the leap day is the last of its year.

const DAY_MS: i64 = 86_400_000;
/// Days from 1 March of year 0 to 1 January 1970.
const EPOCH_DAYS: i64 = 719_468;

/// `2022-02-14T10:00:00.123Z`.
pub(crate) fn iso_from_ms(ms: i64) -> String {
    let (days, rest) = (ms.div_euclid(DAY_MS), ms.rem_euclid(DAY_MS));
    let (year, month, day) = civil_from_days(days);
    let (hour, minute) = (rest / 3_600_000, rest / 60_000 % 60);
    let (second, milli) = (rest / 1000 % 60, rest % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

/// `2022-02-14` or `2022-02-14T10:00:00Z` (fractions of a second allowed), always UTC.
pub(crate) fn ms_from_date(text: &str) -> Option<i64> {
    let (date, time) = text.split_once('T').unwrap_or((text, "00:00:00Z"));
    let mut parts = date.splitn(3, '-').map(|part| part.parse::<i64>().ok());
    let (year, month, day) = (parts.next()??, parts.next()??, parts.next()??);
    let is_real =
        (1..=12).contains(&month) && (1..=31).contains(&day) && (1970..=9999).contains(&year);
    let days = days_from_civil(year, month, day);
    if !is_real || civil_from_days(days) != (year, month, day) {
        return None;
    }
    Some(days * DAY_MS + ms_of_day(time.strip_suffix('Z')?)?)
}

fn ms_of_day(text: &str) -> Option<i64> {
    let mut parts = text.splitn(3, ':');
    let hour: i64 = parts.next()?.parse().ok()?;
    let minute: i64 = parts.next()?.parse().ok()?;
    let second: f64 = parts.next().unwrap_or("0").parse().ok()?;
    let is_real =
        (0..24).contains(&hour) && (0..60).contains(&minute) && (0.0..60.0).contains(&second);
    is_real.then_some(hour * 3_600_000 + minute * 60_000 + (second * 1000.0).round() as i64)
}

/// `90s`, `1h`, `2d`, `500ms`, `1h30m`.
pub(crate) fn ms_from_duration(text: &str) -> Option<i64> {
    let mut rest = text;
    let mut total = 0i64;
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit())?;
        let number: i64 = rest[..digits].parse().ok()?;
        rest = &rest[digits..];
        let letters = rest.find(|c: char| c.is_ascii_digit()).unwrap_or(rest.len());
        let unit = match &rest[..letters] {
            "ms" => 1,
            "s" => 1000,
            "m" => 60_000,
            "h" => 3_600_000,
            "d" => DAY_MS,
            _ => return None,
        };
        rest = &rest[letters..];
        total = total.checked_add(number.checked_mul(unit)?)?;
    }
    (!text.is_empty()).then_some(total)
}

fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (cycle, of_cycle) = (year.div_euclid(400), year.rem_euclid(400));
    let month_from_march = (month + 9) % 12;
    let of_year = (153 * month_from_march + 2) / 5 + day - 1;
    let days = of_cycle * 365 + of_cycle / 4 - of_cycle / 100 + of_year;
    cycle * 146_097 + days - EPOCH_DAYS
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let shifted = days + EPOCH_DAYS;
    let (cycle, of_cycle) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_cycle - of_cycle / 1460 + of_cycle / 36_524 - of_cycle / 146_096) / 365;
    let of_year = of_cycle - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (cycle * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_moments() {
        assert_eq!(iso_from_ms(0), "1970-01-01T00:00:00.000Z");
        assert_eq!(iso_from_ms(1_582_934_399_999), "2020-02-28T23:59:59.999Z");
        assert_eq!(iso_from_ms(1_582_934_400_000), "2020-02-29T00:00:00.000Z");
        assert_eq!(iso_from_ms(-1), "1969-12-31T23:59:59.999Z");
        assert_eq!(iso_from_ms(4_107_542_399_000), "2100-02-28T23:59:59.000Z");
        assert_eq!(ms_from_date("2020-02-29"), Some(1_582_934_400_000));
        assert_eq!(ms_from_date("2020-02-29T00:00:01.5Z"), Some(1_582_934_401_500));
    }

    #[test]
    fn days_go_both_ways() {
        for days in (-400_000..400_000).step_by(97) {
            let (year, month, day) = civil_from_days(days);
            assert_eq!(days_from_civil(year, month, day), days, "{year}-{month}-{day}");
        }
    }

    #[test]
    fn what_is_no_date_is_refused() {
        for text in ["2021-02-29", "2020-13-01", "2020-1", "x", "2020-01-01T25:00:00Z", "1-1-1"] {
            assert_eq!(ms_from_date(text), None, "{text}");
        }
    }

    #[test]
    fn durations_add_up() {
        assert_eq!(ms_from_duration("1h30m"), Some(5_400_000));
        assert_eq!(ms_from_duration("500ms"), Some(500));
        assert_eq!(ms_from_duration("2d"), Some(2 * DAY_MS));
        for text in ["", "5", "h", "5x", "99999999999999999d"] {
            assert_eq!(ms_from_duration(text), None, "{text}");
        }
    }
}
