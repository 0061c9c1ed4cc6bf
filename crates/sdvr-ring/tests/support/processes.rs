//! Other processes to share a ring with.

use std::path::Path;
use std::process::{Child, Command, Stdio};

/// This test program again, as another process that runs only the ignored test `role`, in `place`.
pub(crate) fn spawn(role: &str, place: &Path) -> Process {
    let child = Command::new(std::env::current_exe().expect("this program has a path"))
        .args(["--exact", role, "--ignored", "--nocapture", "--quiet"])
        .env("SDVR_TEST_PLACE", place)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("this program can be run");
    Process(child)
}

/// In such a process: the place. `None` when somebody runs the ignored tests as tests.
pub(crate) fn spawned_place() -> Option<std::path::PathBuf> {
    std::env::var_os("SDVR_TEST_PLACE").map(Into::into)
}

/// A process that does not outlive its test.
pub(crate) struct Process(pub(crate) Child);

impl Process {
    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = i32::try_from(self.0.id()).expect("process ids are small");
        let id = rustix::process::Pid::from_raw(id).expect("no process has id 0");
        rustix::process::kill_process(id, signal).expect("the process is ours");
    }

    pub(crate) fn kill(&mut self) {
        self.0.kill().expect("the process is ours");
        self.0.wait().expect("the process is ours");
    }

    /// Its output, once it has ended by itself.
    pub(crate) fn finish(mut self) -> String {
        let mut output = String::new();
        let mut pipe = self.0.stdout.take().expect("the output is a pipe");
        std::io::Read::read_to_string(&mut pipe, &mut output).expect("it prints text");
        let status = self.0.wait().expect("the process is ours");
        assert!(status.success(), "a helper failed: {status}\n{output}");
        output
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
