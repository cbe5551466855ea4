//! What the scripts take for libclang. They ask as the build does: finding what the build does not
//! take installs nothing, and the build fails on a machine that was said to have everything.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::documents::repository;

/// As far as the build looks into a library: ELF, 64 bits, on a machine of 64.
const ELF_64: &[u8] = b"\x7fELF\x02\x01\x01\0";
const ELF_32: &[u8] = b"\x7fELF\x01\x01\x01\0";

/// A root with these files in it.
struct Machine(tempfile::TempDir);

impl Machine {
    fn with(files: &[&str]) -> Machine {
        let machine = Machine(tempfile::tempdir().expect("a temporary directory"));
        for file in files {
            machine.put(file, ELF_64);
        }
        machine
    }

    fn path(&self) -> &Path {
        self.0.path()
    }

    fn put(&self, file: &str, content: &[u8]) {
        let path = self.path().join(file);
        fs::create_dir_all(path.parent().expect("a file in a directory")).expect("a directory");
        fs::write(path, content).expect("a file");
    }

    fn has_libclang(&self) -> bool {
        self.has_libclang_with(&[])
    }

    /// Asks `scripts/lib.sh`, with nothing from this machine that would answer for the root.
    fn has_libclang_with(&self, variables: &[(&str, &Path)]) -> bool {
        let answer = Command::new("bash")
            .args(["-euo", "pipefail", "-c"])
            .arg("source scripts/lib.sh; if has_libclang \"$1\"; then echo found; else echo missing; fi")
            .arg("has-libclang")
            .arg(self.path())
            .current_dir(repository())
            .env_remove("LIBCLANG_PATH")
            .env_remove("LD_LIBRARY_PATH")
            .env_remove("LIBRARY_PATH")
            .env("LLVM_CONFIG_PATH", "false")
            .envs(variables.iter().copied())
            .output()
            .expect("bash runs");
        match String::from_utf8_lossy(&answer.stdout).trim() {
            "found" => true,
            "missing" => false,
            other => panic!("{other}{}", String::from_utf8_lossy(&answer.stderr)),
        }
    }
}

#[test]
fn a_system_that_has_libclang_cpp_alone_has_no_libclang() {
    for file in [
        "usr/lib/x86_64-linux-gnu/libclang-cpp.so.14",
        "usr/lib/llvm-14/lib/libclang-cpp.so",
        "usr/lib/llvm-14/lib/libclang-cpp.so.14",
    ] {
        assert!(!Machine::with(&[file]).has_libclang(), "{file}");
    }
}

#[test]
fn libclang_is_found_under_each_name_and_in_each_directory_that_the_build_searches() {
    for file in [
        "usr/lib/x86_64-linux-gnu/libclang-14.so.1",
        "usr/lib/x86_64-linux-gnu/libclang-14.so.14.0.6",
        "usr/lib/x86_64-linux-gnu/libclang.so.1",
        "usr/lib/llvm-14/lib/libclang.so",
        "usr/lib/llvm-14/lib/libclang-14.so",
        "usr/lib64/libclang.so",
        "usr/lib64/llvm/lib/libclang.so.20.1",
        "usr/lib/libclang.so",
        "usr/local/lib/libclang.so",
        "usr/local/llvm19/lib/libclang.so.19",
    ] {
        let machine = Machine::with(&["usr/lib/x86_64-linux-gnu/libclang-cpp.so.14", file]);
        assert!(machine.has_libclang(), "{file}");
    }
}

#[test]
fn what_is_merely_called_alike_or_stands_elsewhere_is_no_libclang() {
    for file in [
        "usr/lib/llvm-14/lib/libclangBasic.a",
        "usr/lib/llvm-14/lib/libclang.a",
        "usr/lib/llvm-14/lib/libclang_rt.asan.so",
        "usr/share/libclang.so",
        "opt/llvm/lib/libclang.so",
    ] {
        assert!(!Machine::with(&[file]).has_libclang(), "{file}");
    }
    assert!(!Machine::with(&[]).has_libclang());
}

#[test]
#[cfg(all(target_os = "linux", target_pointer_width = "64"))]
fn a_libclang_for_another_width_of_word_or_a_dangling_link_is_none() {
    let machine = Machine::with(&[]);
    machine.put("usr/lib/i386-linux-gnu/libclang-14.so.1", ELF_32);
    assert!(!machine.has_libclang());

    let link = machine.path().join("usr/lib/libclang.so");
    std::os::unix::fs::symlink("libclang.so.1", &link).expect("a link");
    assert!(!machine.has_libclang());
    machine.put("usr/lib/libclang.so.1", ELF_64);
    assert!(machine.has_libclang());
}

#[test]
fn libclang_path_is_searched_alone_and_must_hold_one() {
    let machine = Machine::with(&["opt/llvm/lib/libclang.so", "opt/empty/README"]);
    let at = |path: &str| machine.path().join(path);
    let asked = |path: &str| machine.has_libclang_with(&[("LIBCLANG_PATH", &at(path))]);
    assert!(asked("opt/llvm/lib"));
    assert!(asked("opt/llvm/lib/libclang.so"));

    machine.put("usr/lib/libclang.so", ELF_64);
    assert!(!asked("opt/empty"));
    assert!(!asked("opt/none"));
}

#[test]
fn directories_named_by_the_linkers_variables_and_by_llvm_config_are_searched() {
    let machine = Machine::with(&["opt/llvm/lib/libclang-17.so"]);
    let lib = machine.path().join("opt/llvm/lib");
    for variable in ["LD_LIBRARY_PATH", "LIBRARY_PATH"] {
        assert!(machine.has_libclang_with(&[(variable, &lib)]), "{variable}");
    }

    let config = machine.path().join("llvm-config");
    let script = format!("#!/bin/sh\necho '{}/opt/llvm'\n", machine.path().display());
    fs::write(&config, script).expect("a script");
    let mut mode = fs::metadata(&config).expect("the script").permissions();
    std::os::unix::fs::PermissionsExt::set_mode(&mut mode, 0o755);
    fs::set_permissions(&config, mode).expect("a program");
    assert!(machine.has_libclang_with(&[("LLVM_CONFIG_PATH", &config)]));
}
