//! The arguments of a script, one after the other in one buffer.
use std::fmt::Write;

/// Grows by one argument a call.
#[derive(Default)]
pub(super) struct Args {
    text: String,
    ends: Vec<usize>,
}

impl Args {
    pub(super) fn add(&mut self, argument: impl std::fmt::Display) -> &mut Self {
        let _ = write!(self.text, "{argument}");
        self.end()
    }

    pub(super) fn text(&mut self, argument: &str) -> &mut Self {
        self.text.push_str(argument);
        self.end()
    }

    fn end(&mut self) -> &mut Self {
        self.ends.push(self.text.len());
        self
    }

    pub(super) fn slices(&self) -> Vec<&[u8]> {
        let mut from = 0;
        let slice = |end: &usize| {
            let slice = &self.text.as_bytes()[from..*end];
            from = *end;
            slice
        };
        self.ends.iter().map(slice).collect()
    }
}
