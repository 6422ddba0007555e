//! Lists in pages: a limit, and an opaque mark of where the next page starts.

/// The most items one page may have.
pub const LIMIT_MAX: u32 = 200;

/// The items of a page when the caller does not say.
pub const LIMIT_DEFAULT: u32 = 50;

/// Where a page starts and how long it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// From [`Page::next`]; `None` is the beginning.
    pub after: Option<String>,
    pub limit: u32,
}

impl Default for Cursor {
    fn default() -> Self {
        Self { after: None, limit: LIMIT_DEFAULT }
    }
}

/// A page of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    pub items: Vec<T>,
    /// `None` on the last page.
    pub next: Option<String>,
}

impl<T> Page<T> {
    /// Cuts `items`, read with one more than `limit`, to a page marked by its last item.
    pub fn cut(mut items: Vec<T>, limit: u32, mark: impl Fn(&T) -> String) -> Self {
        let limit = limit as usize;
        let next = if items.len() > limit {
            items.truncate(limit);
            items.last().map(mark)
        } else {
            None
        };
        Self { items, next }
    }

    pub fn map<U>(self, each: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(each).collect(), next: self.next }
    }
}
