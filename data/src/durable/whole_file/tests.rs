//! Tests of files that are complete or do not exist.

use std::io::Read;
use std::os::unix::fs::{FileTypeExt, PermissionsExt, symlink};
use std::process::Command;

use super::*;

fn names(dir: &Path) -> Vec<String> {
    let entries = fs::read_dir(dir).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

#[test]
fn a_file_that_is_not_finished_keeps_the_old_one_and_leaves_no_other() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a.json");
    WholeFile::write(&path, b"old").unwrap();
    let mut file = WholeFile::create(&path).unwrap();
    file.write_all(b"ne").unwrap();
    drop(file);
    assert_eq!(fs::read(&path).unwrap(), b"old");
    assert_eq!(names(dir.path()), ["a.json"]);
}

#[test]
fn symlinks_are_followed_also_where_nothing_is_at_their_end() {
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("far")).unwrap();
    symlink("far/file", dir.path().join("second")).unwrap();
    symlink("second", dir.path().join("first")).unwrap();
    for content in [&b"new"[..], b"newer"] {
        WholeFile::write(&dir.path().join("first"), content).unwrap();
        assert_eq!(fs::read(dir.path().join("far/file")).unwrap(), content);
    }
    assert!(fs::symlink_metadata(dir.path().join("first")).unwrap().is_symlink());
    assert_eq!(names(dir.path()), ["far", "first", "second"]);
    assert_eq!(names(&dir.path().join("far")), ["file"]);
    symlink("round", dir.path().join("round")).unwrap();
    assert!(WholeFile::create(&dir.path().join("round")).is_err());
}

#[test]
fn a_pipe_is_written_into_and_stays_a_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let pipe = dir.path().join("pipe");
    assert!(Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = {
        let pipe = pipe.clone();
        std::thread::spawn(move || {
            let mut text = String::new();
            File::open(pipe).unwrap().read_to_string(&mut text).unwrap();
            text
        })
    };
    WholeFile::write(&pipe, b"through").unwrap();
    assert_eq!(reader.join().unwrap(), "through");
    assert!(fs::symlink_metadata(&pipe).unwrap().file_type().is_fifo());
    assert_eq!(names(dir.path()), ["pipe"]);
}

#[test]
fn two_writers_at_once_do_not_meet_and_what_a_killed_one_left_is_used_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    fs::write(dir.path().join(".a.tmp"), "left by a process that was killed").unwrap();
    let mut first = WholeFile::create(&path).unwrap();
    let mut second = WholeFile::create(&path).unwrap();
    first.write_all(b"first").unwrap();
    second.write_all(b"second").unwrap();
    first.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"first");
    second.finish().unwrap();
    assert_eq!(fs::read(&path).unwrap(), b"second");
    assert_eq!(names(dir.path()), ["a"]);
}

#[test]
fn permissions_stay_those_of_the_file_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a");
    WholeFile::write(&path, b"old").unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
    WholeFile::write(&path, b"new").unwrap();
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o640);
}

#[test]
fn folders_and_what_has_none_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    for path in [dir.path().to_owned(), dir.path().join("no/file"), PathBuf::from("/")] {
        let error = WholeFile::create(&path).unwrap_err().to_string();
        assert!(error.starts_with(&format!("could not write {}: ", path.display())), "{error}");
    }
}
