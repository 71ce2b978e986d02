//! Writes the published contract beside the crate: JSON Schemas, the AsyncAPI document and the golden vectors.
//!
//! `cargo run -p schemas --example generate`

mod published;

use std::path::Path;
use std::{fs, io};

fn main() -> io::Result<()> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    for folder in published::FOLDERS {
        match fs::remove_dir_all(root.join(folder)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => fs::create_dir_all(root.join(folder))?,
        }
    }
    published::files().into_iter().try_for_each(|(path, contents)| fs::write(root.join(path), contents))
}
