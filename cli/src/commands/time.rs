//! Durations and deadlines as they are typed.

use std::time::Duration;

use schemas::Timestamp;

/// `500ms`, `30s`, `5m`, `2h`, `1d`; fractions are allowed.
pub(crate) fn duration(text: &str) -> Result<Duration, String> {
    let wrong = || "expected a number and a unit, such as 500ms, 30s, 5m, 2h or 1d".to_owned();
    let end_of_number = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at(end_of_number);
    let seconds_per_unit = match unit {
        "ms" => 0.001,
        "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        "d" => 86_400.0,
        _ => return Err(wrong()),
    };
    let number: f64 = number.trim().parse().map_err(|_| wrong())?;
    Duration::try_from_secs_f64(number * seconds_per_unit).map_err(|_| wrong())
}

/// A duration from now, or an RFC 3339 time.
pub(crate) fn deadline(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let from_now = duration(text).map_err(|_| {
        "expected a duration from now, such as 500ms, 30s, 5m or 2h, or a time such as 2026-01-31T12:00:00Z".to_owned()
    })?;
    let micros = i64::try_from(from_now.as_micros()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_unix_micros(Timestamp::now().unix_micros().saturating_add(micros)))
}

/// A duration before now, or an RFC 3339 time.
pub(crate) fn past(text: &str) -> Result<Timestamp, String> {
    if let Ok(at) = text.parse() {
        return Ok(at);
    }
    let ago = duration(text).map_err(|_| {
        "expected how long ago, such as 30s, 5m, 2h or 1d, or a time such as 2026-01-31T12:00:00Z".to_owned()
    })?;
    let micros = i64::try_from(ago.as_micros()).unwrap_or(i64::MAX);
    Ok(Timestamp::from_unix_micros(Timestamp::now().unix_micros().saturating_sub(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expect: Option<f64>) {
        assert_eq!(duration(text).ok().map(|duration| duration.as_secs_f64()), expect, "{text}");
    }

    #[test]
    fn durations() {
        check("500ms", Some(0.5));
        check("30s", Some(30.0));
        check("1.5m", Some(90.0));
        check("2h", Some(7200.0));
        check("1d", Some(86_400.0));
        check("30", None);
        check("s", None);
        check("-3s", None);
        check("3 weeks", None);
        check("infs", None);
        check("1e400s", None);
        check("", None);
    }

    #[test]
    fn deadlines() {
        assert_eq!(deadline("2026-01-31T12:00:00Z").unwrap().as_str(), "2026-01-31T12:00:00Z");
        let before = Timestamp::now().unix_micros();
        let ahead = deadline("10s").unwrap().unix_micros() - before;
        assert!((10_000_000..11_000_000).contains(&ahead), "{ahead}");
        let behind = before - past("10s").unwrap().unix_micros();
        assert!((9_000_000..=10_000_000).contains(&behind), "{behind}");
        assert!(past("yesterday").unwrap_err().contains("how long ago"));
        assert!(deadline("tomorrow").unwrap_err().contains("a duration from now"));
    }
}
