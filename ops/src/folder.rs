//! The data folder: made at need for its owner only, and held by one `serve` at a time.
use anyhow::{Context, bail};
use std::fs::{DirBuilder, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::Path;

/// Held as long as this process serves from the folder; the system frees it however we end.
#[derive(Debug)]
pub(crate) struct FolderLock {
    /// The folder itself: a lock that nobody can remove.
    #[expect(dead_code, reason = "dropping it frees the lock")]
    folder: File,
    /// The file that older versions lock.
    #[expect(dead_code, reason = "dropping it frees the lock")]
    file: File,
}

/// Makes the folder if it is not there.
pub(crate) fn make(path: &Path) -> anyhow::Result<()> {
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .with_context(|| format!("making the data folder {}", path.display()))
}

/// Makes the folder and takes its lock; fails at once when another `serve` has it.
pub(crate) fn lock(path: &Path) -> anyhow::Result<FolderLock> {
    make(path)?;
    let folder = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    take(&folder, path)?;
    let name = path.join("serve.lock");
    let file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .write(true)
        .mode(0o600)
        .open(&name)
        .with_context(|| format!("opening {}: is the data folder writable?", name.display()))?;
    take(&file, path)?;
    Ok(FolderLock { folder, file })
}

fn take(file: &File, data: &Path) -> anyhow::Result<()> {
    match file.try_lock() {
        Ok(()) => Ok(()),
        Err(std::fs::TryLockError::WouldBlock) => {
            bail!("another `tidegate serve` is running on the data folder {}", data.display())
        }
        Err(std::fs::TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("locking {}", data.display()))
        }
    }
}

/// Writes a file for its owner only; fails when it exists.
pub(crate) fn write_secret(path: &Path, text: &str) -> anyhow::Result<()> {
    use std::io::Write;
    let context = || format!("writing {}", path.display());
    let mut options = OpenOptions::new();
    options.create_new(true).write(true).mode(0o600);
    let mut file = options.open(path).with_context(context)?;
    file.write_all(text.as_bytes()).and_then(|()| file.sync_all()).with_context(context)
}
