//! Tells what kind of file was given instead of a TorchScript module.

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Number of bytes that are read to recognise a file that is no archive.
const HEAD: usize = 512;
/// Advice on how to make a module.
const MAKE: &str =
    "make a TorchScript module with torch.jit.trace(model.eval(), x).save(\"model.pt\")";

/// If the file can be recognised as something other than a `TorchScript` module: what it is, and what to do. None for modules and
/// for files that cannot be read.
pub fn not_a_module(file: &Path) -> Option<String> {
    let head = head(file)?;
    let found = if head.starts_with(b"PK") { in_archive(file)? } else { outside_archives(&head) };
    Some(format!("expected a TorchScript module, found {found}"))
}

fn head(file: &Path) -> Option<Vec<u8>> {
    let mut head = Vec::new();
    File::open(file).ok()?.take(HEAD as u64).read_to_end(&mut head).ok()?;
    Some(head)
}

/// Decides by the names of an archive's entries, each of which begins with the archive's own name.
fn in_archive(file: &Path) -> Option<String> {
    let Ok(archive) = zip::ZipArchive::new(File::open(file).ok()?) else {
        return Some("an archive that is damaged or cut short; copy it again".into());
    };
    let has = |wanted: &str| {
        archive
            .file_names()
            .any(|name| name.split_once('/').is_some_and(|(_, rest)| rest == wanted))
    };
    let has_any = |part: &str| archive.file_names().any(|name| name.contains(part));
    if has("constants.pkl") {
        return None;
    }
    Some(if has("archive_format") || has_any("models/model.json") || has_any("/aotinductor/") {
        format!("a torch.export archive (.pt2), which lat cannot run yet; {MAKE}")
    } else if has("data.pkl") {
        format!(
            "a state dict or a pickled module, as torch.save writes them: it holds weights, but no program to run; load it in Python, and {MAKE}"
        )
    } else if has_any(".npy") {
        "an archive of NumPy arrays (.npz)".into()
    } else {
        format!("another kind of zip archive; {MAKE}")
    })
}

fn outside_archives(head: &[u8]) -> String {
    let begins = |with: &[u8]| head.starts_with(with);
    let text = String::from_utf8_lossy(head);
    if head.is_empty() {
        "an empty file".into()
    } else if begins(b"version https://git-lfs") {
        "the pointer of a Git LFS file, not the file itself; fetch it with `git lfs pull`".into()
    } else if begins(&[0x80]) {
        format!("a pickle of an old torch.save; load it in Python, and {MAKE}")
    } else if head.get(8) == Some(&b'{') && text.contains("dtype") {
        format!(
            "weights in safetensors form, which hold no program to run; if lat extract wrote them, use --weights, else {MAKE}"
        )
    } else if text.trim_start().to_lowercase().starts_with("<!doctype") || text.contains("<html") {
        "a web page; the download went wrong".into()
    } else if text.contains("ONNX") || text.contains("onnx") || text.contains("pytorch") {
        format!("what looks like an ONNX file, which lat cannot run; {MAKE}")
    } else {
        format!("no zip archive, which all modules are; {MAKE}")
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn archive(dir: &Path, entries: &[&str]) -> Option<String> {
        let file = dir.join("file.pt");
        let mut writer = zip::ZipWriter::new(File::create(&file).unwrap());
        let options =
            zip::write::FileOptions::default().compression_method(zip::CompressionMethod::Stored);
        for entry in entries {
            writer.start_file(*entry, options).unwrap();
            writer.write_all(b"x").unwrap();
        }
        writer.finish().unwrap();
        drop(writer);
        not_a_module(&file)
    }

    #[test]
    fn archives_are_told_by_their_entries() {
        let dir = tempfile::tempdir().unwrap();
        for (entries, expected) in [
            (&["state/data.pkl", "state/version"] as &[&str], "a state dict or a pickled module"),
            (&["m/archive_format", "m/models/model.json"], "torch.export archive (.pt2)"),
            (&["a.npy", "b.npy"], "NumPy"),
            (&["word/document.xml"], "another kind of zip"),
        ] {
            let found = archive(dir.path(), entries).unwrap();
            assert!(found.contains(expected), "{found}");
        }
        assert_eq!(archive(dir.path(), &["m/data.pkl", "m/constants.pkl", "m/code/x.py"]), None);
        let file = dir.path().join("file.pt");
        let whole = std::fs::read(&file).unwrap();
        std::fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        assert!(not_a_module(&file).unwrap().contains("damaged"));
    }

    #[test]
    fn other_files_are_told_by_how_they_begin() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("file.pt");
        for (bytes, expected) in [
            (b"" as &[u8], "empty file"),
            (b"\x80\x02\x8a\x0al\xfc", "old torch.save"),
            (b"version https://git-lfs.github.com/spec/v1", "git lfs pull"),
            (b"\x40\0\0\0\0\0\0\0{\"a\":{\"dtype\":\"F32\"}}", "--weights"),
            (b"\n<!DOCTYPE html>", "web page"),
            (b"\x08\x08\x12\x07pytorch\x1a\x052.1.0", "ONNX"),
            (b"no module", "no zip archive"),
        ] {
            std::fs::write(&file, bytes).unwrap();
            let found = not_a_module(&file).unwrap();
            assert!(found.contains(expected), "{found}");
        }
        assert_eq!(not_a_module(&dir.path().join("none.pt")), None);
    }
}
