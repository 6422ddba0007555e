//! Logs go to stderr: lines for people on a terminal, JSON for machines elsewhere. Both carry the
//! fields of the spans that an event happened in.
use anyhow::Context;
use std::io::IsTerminal;
use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::util::SubscriberInitExt;

#[derive(Clone, Copy)]
enum Format {
    /// A line for people; the fields of spans stand after the event's own.
    Lines,
    /// An object a line; `span` is the innermost span, `spans` all of them from the outside in.
    Json,
}

/// Starts logging at `level` (`info`, or a filter such as `info,ingress=debug`).
pub(crate) fn start(level: &str) -> anyhow::Result<()> {
    let format = if std::io::stderr().is_terminal() { Format::Lines } else { Format::Json };
    let subscriber = subscriber(level, format, std::io::stderr)?;
    subscriber.try_init().map_err(|e| anyhow::anyhow!("starting the logs: {e}"))
}

fn subscriber(
    level: &str,
    format: Format,
    to: impl for<'a> MakeWriter<'a> + Send + Sync + 'static,
) -> anyhow::Result<Box<dyn Subscriber + Send + Sync>> {
    let filter = EnvFilter::try_new(level)
        .with_context(|| format!("log.level {level:?} is not a filter such as \"info\""))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(to);
    Ok(match format {
        Format::Lines => Box::new(builder.compact().finish()),
        Format::Json => {
            let json = builder.json().flatten_event(true);
            Box::new(json.with_current_span(true).with_span_list(true).finish())
        }
    })
}

#[cfg(test)]
mod booking_life;

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    #[derive(Clone, Default)]
    pub(super) struct Lines(Arc<Mutex<Vec<u8>>>);

    impl Lines {
        pub(super) fn text(&self) -> String {
            String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
        }
    }

    impl Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged at level `info` inside two spans.
    fn logged(format: Format) -> String {
        let lines = Lines::default();
        let to = lines.clone();
        let subscriber = subscriber("info", format, move || to.clone()).unwrap();
        tracing::subscriber::with_default(subscriber, || {
            let _outer = tracing::info_span!("book", booking.id = "bkg_1").entered();
            let _inner = tracing::info_span!("lock", hold.id = "hld_1").entered();
            tracing::warn!(event.id = "evt_1", "a seat is taken");
        });
        lines.text()
    }

    #[test]
    fn a_line_for_people_has_the_fields_of_every_span() {
        let text = logged(Format::Lines);
        for part in ["a seat is taken", "evt_1", "hld_1", "bkg_1"] {
            assert!(text.contains(part), "{part} is missing in {text}");
        }
    }

    #[test]
    fn a_json_line_has_the_fields_of_every_span() {
        let line: serde_json::Value = serde_json::from_str(&logged(Format::Json)).unwrap();
        assert_eq!(line["message"], "a seat is taken");
        assert_eq!((&line["event.id"], &line["level"]), (&"evt_1".into(), &"WARN".into()));
        assert_eq!(line["span"]["hold.id"], "hld_1");
        assert_eq!(line["spans"][0]["booking.id"], "bkg_1");
        assert_eq!(line["spans"][1]["name"], "lock");
    }
}
