//! `tidegate keys`: making and rotating the signing keys.
use super::print;
use crate::cli::KeysAction;
use crate::config::Configuration;
use crate::stores::Opener;
use crate::{Failure, folder, keyfile};
use ledger::Clock;

pub(crate) async fn keys(config: &Configuration, action: KeysAction) -> Result<(), Failure> {
    let path = config.keys_file();
    let now = Clock::System.now();
    match action {
        KeysAction::Make => {
            folder::make(&config.data)?;
            keyfile::make(&path, now)?;
            print(&format!("made {}\n", path.display()))
        }
        KeysAction::Rotate => {
            let mut opener = Opener::existing(config)?;
            let books = opener.books(&config.stores.books).await?;
            let login = config.ingress.login_seconds;
            let rotated = keyfile::rotate(&path, &books, login, now).await;
            opener.close().await;
            print(&format!("{} keys in {}\n", rotated?, path.display()))
        }
    }
}
