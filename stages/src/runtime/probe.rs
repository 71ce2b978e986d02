//! Looks into a library file without loading it: loading a wrong one can crash, hang, or only say "failed".

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::str::FromStr;

use memchr::memmem;

use super::MINIMUM_VERSION;

/// The version of a library.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Version {
    /// The first number.
    pub major: u32,
    /// The second number, which is the version of the interface.
    pub minor: u32,
    /// The third number.
    pub patch: u32,
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

/// The text is no version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected three numbers with dots between")]
pub struct ParseVersionError;

impl FromStr for Version {
    type Err = ParseVersionError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut numbers = text.split('.').map(str::parse);
        let mut number = || numbers.next().and_then(Result::ok).ok_or(ParseVersionError);
        let version = Self { major: number()?, minor: number()?, patch: number()? };
        if numbers.next().is_some() { Err(ParseVersionError) } else { Ok(version) }
    }
}

/// Why a file is no library to load.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// The file cannot be read.
    #[error("{0}")]
    Read(#[from] io::Error),
    /// It is not a shared library of this kind of machine.
    #[error("is not a shared library for this machine ({0})")]
    NotALibrary(&'static str),
    /// It is a library, but not ONNX Runtime.
    #[error("has no symbol OrtGetApiBase, so it is not ONNX Runtime")]
    NotOnnxRuntime,
    /// It is ONNX Runtime, but too old.
    #[error("is ONNX Runtime {0}, older than {MINIMUM_VERSION}")]
    TooOld(Version),
}

/// The version of the library in a file, where it tells; an error where it cannot be used.
pub(super) fn probe(path: &Path) -> Result<Option<Version>, ProbeError> {
    let mut file = File::open(path)?;
    if !file.metadata()?.is_file() {
        return Err(ProbeError::NotALibrary("not a file"));
    }
    if cfg!(target_os = "linux") {
        check_elf_header(&mut file)?;
    }
    let found = search(&mut file)?;
    if !found.symbol {
        return Err(ProbeError::NotOnnxRuntime);
    }
    let version = found.version.or_else(|| version_in_name(path));
    match version {
        Some(version) if version < MINIMUM_VERSION => Err(ProbeError::TooOld(version)),
        version => Ok(version),
    }
}

fn check_elf_header(file: &mut File) -> Result<(), ProbeError> {
    const CLASS_64: u8 = 2;
    const LITTLE_ENDIAN: u8 = 1;
    const SHARED_OBJECT: u16 = 3;
    let machine: Option<u16> = match std::env::consts::ARCH {
        "x86_64" => Some(62),
        "aarch64" => Some(183),
        _ => None,
    };
    let mut header = [0; 20];
    file.read_exact(&mut header).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => ProbeError::NotALibrary("shorter than an ELF header"),
        _ => ProbeError::Read(error),
    })?;
    if header[..4] != *b"\x7fELF" {
        return Err(ProbeError::NotALibrary("not an ELF file"));
    }
    let field = |at: usize| u16::from_le_bytes([header[at], header[at + 1]]);
    if header[4] != CLASS_64 || header[5] != LITTLE_ENDIAN || field(16) != SHARED_OBJECT {
        return Err(ProbeError::NotALibrary("not a 64-bit shared object"));
    }
    if machine.is_some_and(|machine| machine != field(18)) {
        return Err(ProbeError::NotALibrary("built for another processor"));
    }
    Ok(())
}

#[derive(Default)]
struct Found {
    symbol: bool,
    version: Option<Version>,
}

/// Searches the file piece by piece for the entry point and for the version that its exported symbols carry. Both stand
/// in the table of dynamic names, near the start, so that little of the 20 MB is read.
fn search(file: &mut File) -> io::Result<Found> {
    const PIECE: usize = 1 << 20;
    const OVERLAP: usize = 64;
    let entry_point = memmem::Finder::new(b"OrtGetApiBase\0");
    let mut found = Found::default();
    let mut buffer = vec![0; OVERLAP + PIECE];
    let mut kept = 0;
    loop {
        let read = file.read(&mut buffer[kept..])?;
        if read == 0 {
            return Ok(found);
        }
        let filled = kept + read;
        let piece = &buffer[..filled];
        found.symbol = found.symbol || entry_point.find(piece).is_some();
        found.version = found.version.or_else(|| version_of_symbols(piece));
        if found.symbol && found.version.is_some() {
            return Ok(found);
        }
        let tail = filled.min(OVERLAP);
        buffer.copy_within(filled - tail..filled, 0);
        kept = tail;
    }
}

/// The library's build names the version of its exported symbols `VERS_1.24.4`.
fn version_of_symbols(piece: &[u8]) -> Option<Version> {
    const PREFIX: &[u8] = b"VERS_";
    memmem::find_iter(piece, PREFIX).find_map(|at| {
        let rest = &piece[at + PREFIX.len()..];
        let end = rest.iter().position(|&byte| byte == 0)?;
        std::str::from_utf8(rest.get(..end.min(32))?).ok()?.parse().ok()
    })
}

/// The version in a name like `libonnxruntime.so.1.24.4`.
fn version_in_name(path: &Path) -> Option<Version> {
    let name = path.file_name()?.to_str()?;
    name.split_once(".so.")?.1.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn elf(content: &[u8]) -> Vec<u8> {
        let machine: u16 = if std::env::consts::ARCH == "aarch64" { 183 } else { 62 };
        let mut file = b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0\x03\0".to_vec();
        file.extend(machine.to_le_bytes());
        file.extend(content);
        file
    }

    fn probe_file(name: &str, content: &[u8]) -> Result<Option<Version>, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        File::create(&path).unwrap().write_all(content).unwrap();
        probe(&path).map_err(|error| error.to_string())
    }

    fn version(text: &str) -> Option<Version> {
        Some(text.parse().unwrap())
    }

    #[test]
    fn reads_the_version_from_the_symbols() {
        let content = elf(b"\0OrtGetApiBase\0VERS_1.24.4\0");
        assert_eq!(probe_file("libonnxruntime.so", &content), Ok(version("1.24.4")));
    }

    #[test]
    fn finds_both_across_pieces() {
        for offset in 0..40 {
            let mut content = elf(&vec![b'x'; (1 << 20) + offset]);
            content.extend(b"\0OrtGetApiBase\0VERS_1.30.0\0");
            assert_eq!(probe_file("lib.so", &content), Ok(version("1.30.0")), "offset {offset}");
        }
    }

    #[test]
    fn falls_back_to_the_version_in_the_name() {
        let content = elf(b"\0OrtGetApiBase\0");
        assert_eq!(probe_file("libonnxruntime.so.1.25.0", &content), Ok(version("1.25.0")));
        assert_eq!(probe_file("libonnxruntime.so", &content), Ok(None));
    }

    #[test]
    fn says_what_is_wrong() {
        let check = |content: &[u8], expect: &str| {
            assert_eq!(probe_file("libonnxruntime.so", content), Err(expect.to_owned()));
        };
        check(b"", "is not a shared library for this machine (shorter than an ELF header)");
        check(&[b'#'; 100], "is not a shared library for this machine (not an ELF file)");
        check(&elf(b"\0something\0"), "has no symbol OrtGetApiBase, so it is not ONNX Runtime");
        check(&elf(b"\0OrtGetApiBase\0VERS_1.17.3\0"), "is ONNX Runtime 1.17.3, older than 1.24.0");
    }

    #[test]
    fn another_processor_is_refused() {
        let mut content = elf(b"\0OrtGetApiBase\0VERS_1.24.4\0");
        content[18] ^= 0xff;
        let error = probe_file("lib.so", &content).unwrap_err();
        assert!(error.contains("another processor"), "{error}");
    }
}
