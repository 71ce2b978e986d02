//! The worker's slot: a name that no other running worker of the same group has, and that its successor after a crash has
//! again. The transactional id is made of it, so a restarted worker shuts out what is left of its predecessor at once; and
//! so is the name of a static member, so a restarted worker has its predecessor's partitions at once.
//!
//! Without a name from the configuration it is `<hostname>-<n>` with the lowest number that is free on this host. A number
//! is taken by locking a file, and the lock is released by the operating system however the process ends, so nothing is
//! left behind that somebody would have to clean up.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use schemas::JobId;

use crate::name::{self, is_allowed};

/// More workers of one kind than anybody runs on one host; a bound for the search.
const MAX_NUMBER: usize = 10_000;
/// The longest part of a file's name or a slot that comes from outside.
const MAX_PART: usize = 100;

/// A slot; it is free again when this is dropped, or when the process ends in whatever way.
#[derive(Debug)]
pub struct Slot {
    name: String,
    outlasts_restarts: bool,
    // Holds the lock; nothing is read from it.
    _claim: Option<File>,
}

/// A name that cannot be a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a slot is {}; name it for what stays the same when this worker is restarted and no other worker of its stage has, \
     such as its pod",
    name::RULE
)]
pub struct SlotError;

impl Slot {
    /// The slot of this name. That no other worker has it is the caller's promise: of two, the later shuts out the earlier.
    ///
    /// # Errors
    /// When the name holds what a topic's name could not.
    pub fn named(name: &str) -> Result<Self, SlotError> {
        if !name::is_name(name) {
            return Err(SlotError);
        }
        Ok(Self { name: name.to_owned(), outlasts_restarts: true, _claim: None })
    }

    /// The lowest free slot of this host. `scope` is what slots must be unique in: `<prefix>.<pipeline>.<stage>`.
    ///
    /// Where no file can be locked, it is a random one, and the log says what that costs.
    pub fn claim(scope: &str) -> Self {
        let host = hostname();
        Self::claim_in(&runtime_folder(), scope, &host).unwrap_or_else(|error| {
            // The end of a UUIDv7 is random.
            let id = JobId::random();
            let name = format!("{host}-{}", &id.as_str()[id.as_str().len() - 12..]);
            tracing::warn!(
                %error, slot = name,
                "no slot could be claimed, so this worker has a random one: after a crash, exactly-once work waits \
                 for the transaction timeout before it goes on, and a restart moves partitions (name a slot with \
                 --slot or worker.slot, or let XDG_RUNTIME_DIR point to a folder that can be written to)"
            );
            Self { name, outlasts_restarts: false, _claim: None }
        })
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether this worker has the slot again after a restart: not if it is a random one.
    pub(crate) fn outlasts_restarts(&self) -> bool {
        self.outlasts_restarts
    }

    fn claim_in(folder: &Path, scope: &str, host: &str) -> Result<Self, ClaimError> {
        let fault = |path: &Path| {
            let path = path.to_owned();
            move |source| ClaimError { path, source }
        };
        make_private(folder).map_err(fault(folder))?;
        for number in 0..MAX_NUMBER {
            let path = folder.join(format!("{}.{number}.lock", file_part(scope)));
            // Never removed: whoever waits to lock a file that is gone holds a lock that nobody else sees.
            let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
            let file = file.map_err(fault(&path))?;
            match file.try_lock() {
                Ok(()) => {
                    let name = format!("{host}-{number}");
                    return Ok(Self { name, outlasts_restarts: true, _claim: Some(file) });
                }
                Err(TryLockError::WouldBlock) => {}
                Err(TryLockError::Error(error)) => return Err(fault(&path)(error)),
            }
        }
        Err(fault(folder)(io::Error::other(format!("all {MAX_NUMBER} slots are taken"))))
    }
}

#[derive(Debug, thiserror::Error)]
#[error("cannot lock {}: {source}", path.display())]
struct ClaimError {
    path: PathBuf,
    source: io::Error,
}

/// `millstream` in the user's runtime folder, or a folder of the user's own among the temporary ones.
fn runtime_folder() -> PathBuf {
    match std::env::var_os("XDG_RUNTIME_DIR").filter(|folder| !folder.is_empty()) {
        Some(folder) => PathBuf::from(folder).join("millstream"),
        None => std::env::temp_dir().join(format!("millstream-{}", rustix::process::getuid().as_raw())),
    }
}

/// Temporary folders are open to everybody: in a folder of somebody else, he could hold the locks.
fn make_private(folder: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
    let found = std::fs::symlink_metadata(folder)?;
    if found.is_dir() && found.uid() == rustix::process::getuid().as_raw() {
        Ok(())
    } else {
        Err(io::Error::other("it is not a folder of the user who runs the worker"))
    }
}

/// The host's name, of characters that a slot may have.
fn hostname() -> String {
    let uname = rustix::system::uname();
    fit(&uname.nodename().to_string_lossy())
}

fn fit(host: &str) -> String {
    let host: String = host.chars().map(|c| if is_allowed(c) { c } else { '-' }).take(MAX_PART).collect();
    if host.is_empty() { "host".to_owned() } else { host }
}

/// A file's name has 255 bytes at most, and scopes can be longer: what is cut off or replaced is told apart by a hash.
fn file_part(scope: &str) -> String {
    if scope.len() <= MAX_PART && scope.chars().all(is_allowed) {
        return scope.to_owned();
    }
    // FNV-1a: the same in every build, so that old and new workers look at the same file.
    let hash = scope.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("{}~{hash:016x}", fit(scope))
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader, Read};
    use std::process::{Command, Stdio};

    use super::*;

    const SCOPE: &str = "millstream.digits.preprocess";
    /// Set for the child of a test: the folder in which it is to claim a slot.
    const FOLDER_OF_CHILD: &str = "MILLSTREAM_TEST_SLOT_FOLDER";

    fn claim(folder: &Path, scope: &str) -> Slot {
        Slot::claim_in(folder, scope, "h").unwrap()
    }

    #[test]
    fn a_name_that_cannot_be_a_slot_is_refused_with_what_to_do() {
        assert_eq!(Slot::named("rack-1.worker_7").unwrap().name(), "rack-1.worker_7");
        let error = Slot::named("rack 1").unwrap_err().to_string();
        assert!(error.contains("letters, digits") && error.contains("such as its pod"), "{error}");
    }

    #[test]
    fn the_lowest_free_number_of_its_kind_is_taken() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("millstream");
        let first = claim(&folder, SCOPE);
        let second = claim(&folder, SCOPE);
        let other = claim(&folder, "millstream.digits.inference");
        assert_eq!((first.name(), second.name(), other.name()), ("h-0", "h-1", "h-0"));
        drop(first);
        let third = claim(&folder, SCOPE);
        let fourth = claim(&folder, SCOPE);
        assert_eq!((third.name(), fourth.name()), ("h-0", "h-2"));
    }

    #[test]
    fn any_scope_makes_a_file_name() {
        let folder = tempfile::tempdir().unwrap();
        for scope in [SCOPE.repeat(30), "../../etc".to_owned(), "..".to_owned(), "é/\0".to_owned()] {
            let slots = [claim(folder.path(), &scope), claim(folder.path(), &scope)];
            assert_eq!(slots.map(|slot| slot.name), ["h-0", "h-1"], "{scope}");
        }
        let long = |last: &str| claim(folder.path(), &format!("{}{last}", "p".repeat(300)));
        assert_eq!([long("a"), long("b")].map(|slot| slot.name), ["h-0", "h-0"]);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 10, "all of them in the folder");
    }

    #[test]
    fn hosts_of_any_name_make_slots() {
        let check = |host: &str, expect: &str| assert_eq!(fit(host), expect);
        check("node-7.example.org", "node-7.example.org");
        check("Jürgens Mac", "J-rgens-Mac");
        check("", "host");
        assert!(Slot::named(&format!("{}-{MAX_NUMBER}", fit(&"x".repeat(300)))).is_ok());
        assert!(Slot::named(&hostname()).is_ok());
    }

    #[test]
    fn a_folder_that_is_not_ours_is_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        std::fs::write(&file, "").unwrap();
        assert!(Slot::claim_in(&file, SCOPE, "h").is_err());
        assert!(Slot::claim_in(&file.join("below"), SCOPE, "h").is_err());
        let link = folder.path().join("link");
        std::os::unix::fs::symlink(folder.path(), &link).unwrap();
        assert!(Slot::claim_in(&link, SCOPE, "h").is_err());
    }

    #[test]
    fn a_slot_is_free_again_when_its_process_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "slot::tests::child_that_holds_a_slot", "--nocapture"])
            .env(FOLDER_OF_CHILD, folder.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
        assert!(lines.any(|line| line.ends_with("claimed h-0")), "the child ended before it claimed");
        assert_eq!(claim(folder.path(), SCOPE).name(), "h-1");
        child.kill().unwrap();
        child.wait().unwrap();
        assert_eq!(claim(folder.path(), SCOPE).name(), "h-0");
    }

    /// No test by itself: what the test above starts as a process of its own.
    #[test]
    fn child_that_holds_a_slot() {
        let Some(folder) = std::env::var_os(FOLDER_OF_CHILD) else { return };
        let slot = claim(Path::new(&folder), SCOPE);
        println!("claimed {}", slot.name());
        // Until it is killed, or its parent is gone.
        io::stdin().read_to_end(&mut Vec::new()).unwrap();
    }
}
