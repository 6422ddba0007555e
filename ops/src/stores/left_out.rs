//! What stands for the servers that this build leaves out. The configuration was refused before,
//! with the name of the feature; nothing here is reached.
use super::opener::Opener;
use anyhow::bail;

/// Methods that fail, in place of those of a backend that is not there.
macro_rules! left_out {
    ($feature:literal: $($name:ident($($argument:ty),*) -> $opened:ty;)+) => {
        #[cfg(not(feature = $feature))]
        impl Opener {
            $(pub(super) async fn $name(&self, $(_: $argument),*) -> anyhow::Result<$opened> {
                bail!(concat!("this build has no ", $feature, " backend"))
            })+
        }
    };
}

left_out!("redis":
    redis_queue(&crate::config::Address, &ledger::IdSource)
        -> std::sync::Arc<dyn waiting_room::QueueStore>;
    redis_seats(&crate::config::Address) -> std::sync::Arc<dyn allocator::SeatStore>;
);
left_out!("kafka":
    kafka_log(&str) -> std::sync::Arc<dyn ledger::BookingLog>;
);
left_out!("postgres":
    postgres_books(&crate::config::Address) -> ledger::Books;
    postgres_views(&crate::config::Address) -> std::sync::Arc<dyn ledger::Views>;
);
left_out!("scylla":
    scylla_views(&crate::config::Address, &str) -> std::sync::Arc<dyn ledger::Views>;
);
