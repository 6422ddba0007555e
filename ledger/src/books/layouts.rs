//! Layouts that were read once: they are large, and never change.
use crate::error::StoreError;
use crate::ids::EventId;
use crate::layout::Layout;
use std::collections::VecDeque;
use std::sync::Arc;
use tokio::sync::Mutex;

/// Places of all layouts kept; a place takes about 200 bytes.
const PLACES_KEPT_MAX: u32 = 1_000_000;

const DOING: &str = "reading an event's layout";

/// The layouts last read, oldest first. The lock is held while one is read, so that a crowd that
/// asks for the same event reads it once.
#[derive(Default)]
pub struct Layouts(Mutex<VecDeque<(EventId, Arc<Layout>)>>);

impl Layouts {
    /// The layout of an event; `read` gives its text if it was not read before.
    pub async fn of(
        &self,
        event: &EventId,
        read: impl Future<Output = Result<String, StoreError>>,
    ) -> Result<Arc<Layout>, StoreError> {
        let mut kept = self.0.lock().await;
        if let Some((_, layout)) = kept.iter().find(|(id, _)| id == event) {
            return Ok(layout.clone());
        }
        let layout = Arc::new(parse(read.await?).await?);
        kept.push_back((event.clone(), layout.clone()));
        while kept.len() > 1 && places(&kept) > PLACES_KEPT_MAX {
            kept.pop_front();
        }
        Ok(layout)
    }
}

/// A large layout takes a tenth of a second to index: not on a thread that serves requests.
async fn parse(text: String) -> Result<Layout, StoreError> {
    let parsed = tokio::task::spawn_blocking(move || serde_json::from_str(&text)).await;
    let parsed = parsed.map_err(|error| StoreError::unavailable(DOING, error))?;
    parsed.map_err(|error| StoreError::broken(DOING, error))
}

fn places(kept: &VecDeque<(EventId, Arc<Layout>)>) -> u32 {
    kept.iter().fold(0, |sum, (_, layout)| sum.saturating_add(layout.total()))
}
