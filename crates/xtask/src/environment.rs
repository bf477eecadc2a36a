//! What do the tests need from the machine, and how does it get there?
//!
//! Programs come from Debian's packages, installed where they are missing; nothing that apt brings is started.
//! Libraries for the examples come from PyPI and npm, pinned in `test-env/`, into `target/test-env/`.
//! What is there already is left as it is, so that the second run takes a second.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};

use crate::{child, workspace};

/// `--version` and the like; Chromium's first start on a cold disk takes seconds.
const PROBE_BOUND: Duration = Duration::from_secs(30);
/// Fetching Debian's lists of packages.
const APT_UPDATE_BOUND: Duration = Duration::from_secs(5 * 60);
/// Fetching and unpacking a browser and Node, behind another apt if one is at work.
const APT_INSTALL_BOUND: Duration = Duration::from_secs(20 * 60);
/// How long apt itself waits for another apt.
const APT_LOCK_BOUND_S: u32 = 300;
/// Creating the virtual environment.
const VENV_BOUND: Duration = Duration::from_secs(2 * 60);
/// Half a dozen small packages, with the client's own retries.
const LIBRARIES_BOUND: Duration = Duration::from_secs(5 * 60);

/// A program the tests use.
struct Program {
    name: &'static str,
    /// What the tests do with it.
    reason: &'static str,
    /// Tells the tests where it is. If it is set already, that program is taken and nothing is looked for.
    variable: Option<&'static str>,
    /// Looked for in every folder of `PATH`, in this order; an absolute path is looked for as it is.
    names: &'static [&'static str],
    /// It is good if it answers these arguments with exit status 0.
    probe: &'static [&'static str],
    /// What Debian 12 calls it.
    packages: &'static [&'static str],
}

const PROGRAMS: &[Program] = &[
    Program {
        name: "Chromium",
        reason: "the phone page is tested in a real browser",
        variable: Some("TAPCODE_TEST_CHROMIUM"),
        names: &["chromium", "chromium-browser", "google-chrome"],
        probe: &["--version"],
        packages: &["chromium"],
    },
    Program {
        name: "ChromeDriver",
        reason: "drives the browser",
        variable: Some("TAPCODE_TEST_CHROMEDRIVER"),
        names: &["chromedriver"],
        probe: &["--version"],
        packages: &["chromium-driver"],
    },
    Program {
        name: "Redis",
        reason: "the examples keep their codes in it; the tests start it on a free port in a temporary folder",
        variable: Some("TAPCODE_TEST_REDIS_SERVER"),
        names: &["redis-server"],
        probe: &["--version"],
        packages: &["redis-server"],
    },
    Program {
        name: "promtool",
        reason: "Prometheus itself reads the alerts and the dashboard, and says when they fire",
        variable: Some("TAPCODE_TEST_PROMTOOL"),
        names: &["promtool"],
        probe: &["--version"],
        packages: &["prometheus"],
    },
    Program {
        name: "Kannel's bearerbox",
        reason: "a gateway that nobody here wrote takes our messages and tells us of them",
        variable: Some("TAPCODE_TEST_BEARERBOX"),
        names: &["bearerbox", "/usr/sbin/bearerbox"],
        probe: &["--version"],
        packages: &["kannel"],
    },
    Program {
        name: "Kannel's smsbox",
        reason: "the part of Kannel that is spoken to by HTTP",
        variable: Some("TAPCODE_TEST_SMSBOX"),
        names: &["smsbox", "/usr/sbin/smsbox"],
        probe: &["--version"],
        packages: &["kannel"],
    },
    Program {
        name: "Kannel's fakesmsc",
        reason: "the operator behind Kannel",
        variable: Some("TAPCODE_TEST_FAKESMSC"),
        names: &["/usr/lib/kannel/test/fakesmsc"],
        probe: &["--version"],
        packages: &["kannel-extras"],
    },
    Program {
        name: "Node 18 or newer",
        reason: "runs the JavaScript examples; 18 is the first with fetch, and what Debian 12 has",
        variable: Some("TAPCODE_TEST_NODE"),
        names: &["node", "nodejs"],
        probe: &["-e", "process.exit(parseInt(process.versions.node) >= 18 ? 0 : 1)"],
        packages: &["nodejs"],
    },
    Program {
        name: "npm",
        reason: "installs the libraries of the JavaScript examples",
        variable: None,
        names: &["npm"],
        probe: &["--version"],
        packages: &["npm"],
    },
    Program {
        name: "Python 3.10 or newer with venv and pip",
        reason: "runs the Python examples, in a virtual environment",
        variable: None,
        names: &["python3", "/usr/bin/python3"],
        probe: &["-c", "import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 10))"],
        packages: &["python3", "python3-venv"],
    },
];

/// Makes sure that everything is there; the variables that tell the tests where.
///
/// An error names what is missing and why it is needed: no test is skipped for it.
pub(crate) fn prepare() -> Result<Vec<(&'static str, PathBuf)>> {
    let folder = workspace::target_folder()?.join("test-env");
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let lock = File::create(folder.join("lock"))?;
    ensure!(
        lock.try_lock().is_ok(),
        "another cargo xtask is preparing {} right now",
        folder.display()
    );

    let path = std::env::var_os("PATH").unwrap_or_default();
    let missing: Vec<_> = PROGRAMS.iter().filter(|program| locate(program, &path).is_err()).collect();
    if !missing.is_empty() {
        install(&missing)?;
    }
    let mut variables = Vec::new();
    let mut found = Vec::new();
    for program in PROGRAMS {
        let place = locate(program, &path).with_context(|| explain(program))?;
        variables.extend(program.variable.map(|variable| (variable, place.clone())));
        found.push((program.names[0], place));
    }
    let place = |name| {
        &found
            .iter()
            .find(|(known, _)| *known == name)
            .expect("every program has a place by now")
            .1
    };

    ensure_same_version(place("chromium"), place("chromedriver"))?;
    variables.push(("TAPCODE_TEST_PYTHON", python_with_libraries(place("python3"), &folder)?));
    variables.push(("TAPCODE_TEST_NODE_MODULES", node_modules(place("npm"), &folder)?));
    Ok(variables)
}

fn explain(program: &Program) -> String {
    let otherwise = program
        .variable
        .map(|variable| format!(", or set {variable}"))
        .unwrap_or_default();
    format!(
        "the tests need {} ({}); install Debian's {}{otherwise}",
        program.name,
        program.reason,
        program.packages.join(" and ")
    )
}

/// The first of its names on the path that answers the probe well; otherwise why the last one did not.
fn locate(program: &Program, path: &OsStr) -> Result<PathBuf> {
    if let Some(chosen) = program.variable.and_then(std::env::var_os) {
        let chosen = PathBuf::from(chosen);
        probe(program, &chosen).with_context(|| format!("chosen by {}", program.variable.unwrap_or_default()))?;
        return Ok(chosen);
    }
    let mut reason = anyhow::anyhow!("none of {} is on the path", program.names.join(", "));
    for name in program.names {
        for place in std::env::split_paths(path)
            .map(|folder| folder.join(name))
            .filter(|place| place.is_file())
        {
            match probe(program, &place) {
                Ok(()) => return Ok(place),
                Err(unfit) => reason = unfit,
            }
        }
    }
    Err(reason)
}

fn probe(program: &Program, place: &Path) -> Result<()> {
    let what = format!("asking {} for {}", place.display(), program.name);
    child::read(&what, PROBE_BOUND, Command::new(place).args(program.probe)).map(drop)
}

/// Debian's packages for what is missing, by apt as root or through sudo without a password.
fn install(missing: &[&Program]) -> Result<()> {
    let all: Vec<_> = missing.iter().map(|program| explain(program)).collect();
    let all = all.join("\n");
    for program in missing {
        let chosen = program.variable.filter(|variable| std::env::var_os(variable).is_some());
        if let Some(variable) = chosen {
            locate(program, OsStr::new("")).with_context(|| format!("{variable} is set, but does not work"))?;
        }
    }
    ensure!(
        Path::new("/usr/bin/apt-get").is_file(),
        "{all}\n(this is no Debian, so nothing was installed)"
    );
    let packages: Vec<_> = missing.iter().flat_map(|program| program.packages).copied().collect();
    eprintln!("installing {}, because\n{all}", packages.join(" "));

    let wait = format!("DPkg::Lock::Timeout={APT_LOCK_BOUND_S}");
    let options = ["-o", &wait, "-o", "Acquire::Retries=3", "--quiet", "--yes"];
    let update = as_root("exec apt-get \"$@\" update", &options, &[])?;
    child::run("apt-get update", APT_UPDATE_BOUND, &mut { update }).with_context(|| all.clone())?;
    let install = as_root(INSTALL_WITHOUT_STARTING, &options, &packages)?;
    child::run("apt-get install", APT_INSTALL_BOUND, &mut { install }).with_context(|| all.clone())
}

/// A policy that forbids starting services while packages are installed, unless the machine has one of its own;
/// see invoke-rc.d(8). The Redis of the tests is started by the tests.
const INSTALL_WITHOUT_STARTING: &str = r#"
policy=/usr/sbin/policy-rc.d
if ! [ -e "$policy" ]; then
    trap 'rm -f "$policy"' EXIT
    trap 'exit 143' HUP INT TERM
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
fi
apt-get install --no-install-recommends "$@"
"#;

fn as_root(script: &str, options: &[&str], packages: &[&str]) -> Result<Command> {
    let user = child::read("id", PROBE_BOUND, Command::new("id").arg("-u"))?;
    let mut command = if user.trim() == "0" {
        Command::new("env")
    } else {
        let mut sudo = Command::new("sudo");
        sudo.args(["--non-interactive", "env"]);
        sudo
    };
    // What apt says goes where our own words go, so that `eval "$(cargo xtask env)"` reads the variables only.
    let script = format!("exec >&2\n{script}");
    command
        .args(["DEBIAN_FRONTEND=noninteractive", "sh", "-euc", &script, "apt"])
        .args(options)
        .args(packages);
    Ok(command)
}

/// A driver of another major version than the browser fails in ways that do not say so.
fn ensure_same_version(chromium: &Path, chromedriver: &Path) -> Result<()> {
    let major = |program: &Path| -> Result<String> {
        let answer = child::read(
            "the version of the browser",
            PROBE_BOUND,
            Command::new(program).arg("--version"),
        )?;
        let number = answer
            .split_whitespace()
            .find(|word| word.starts_with(|first: char| first.is_ascii_digit()));
        let number = number.with_context(|| format!("{}: no version in {answer:?}", program.display()))?;
        Ok(number.split('.').next().unwrap_or_default().to_owned())
    };
    let (browser, driver) = (major(chromium)?, major(chromedriver)?);
    if browser != driver {
        bail!(
            "{} is version {browser}, but {} is {driver}: both must have the same",
            chromium.display(),
            chromedriver.display()
        );
    }
    Ok(())
}

/// A virtual environment with what `requirements.txt` pins; its Python.
fn python_with_libraries(python: &Path, folder: &Path) -> Result<PathBuf> {
    let home = folder.join("python");
    let inner = home.join("bin").join("python");
    let pins = pins().join("requirements.txt");
    once_per(&[&pins], &home, || {
        child::read(
            "creating a virtual environment",
            VENV_BOUND,
            Command::new(python).args(["-m", "venv"]).arg(&home),
        )?;
        let mut pip = Command::new(&inner);
        pip.args([
            "-m",
            "pip",
            "install",
            "--disable-pip-version-check",
            "--no-deps",
            "--requirement",
        ])
        .arg(&pins);
        child::read("pip install", LIBRARIES_BOUND, &mut pip)?;
        child::read("pip check", PROBE_BOUND, Command::new(&inner).args(["-m", "pip", "check"])).map(drop)
    })?;
    Ok(inner)
}

/// A folder with what `package-lock.json` pins; its `node_modules`. No package's own scripts are run.
fn node_modules(npm: &Path, folder: &Path) -> Result<PathBuf> {
    let home = folder.join("node");
    let (list, lock) = (pins().join("package.json"), pins().join("package-lock.json"));
    once_per(&[&list, &lock], &home, || {
        fs::create_dir_all(&home)?;
        fs::copy(&list, home.join("package.json"))?;
        fs::copy(&lock, home.join("package-lock.json"))?;
        let mut install = Command::new(npm);
        install
            .current_dir(&home)
            .args(["ci", "--ignore-scripts", "--no-audit", "--no-fund"]);
        child::read("npm ci", LIBRARIES_BOUND, &mut install).map(drop)
    })?;
    Ok(home.join("node_modules"))
}

fn pins() -> PathBuf {
    workspace::root().join("crates/xtask/test-env")
}

/// Makes `home` anew with `make`, unless it was made from these very files; half of it is never taken for whole.
fn once_per(pins: &[&Path], home: &Path, make: impl FnOnce() -> Result<()>) -> Result<()> {
    let mut wanted = String::new();
    for pin in pins {
        wanted += &fs::read_to_string(pin).with_context(|| format!("cannot read {}", pin.display()))?;
    }
    let stamp = home.join("made-from");
    if fs::read_to_string(&stamp).is_ok_and(|made_from| made_from == wanted) {
        return Ok(());
    }
    if home.exists() {
        fs::remove_dir_all(home).with_context(|| format!("cannot remove {}", home.display()))?;
    }
    make()?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder of its own for one test, gone when the test is over.
    struct Folder(PathBuf);

    impl Folder {
        fn new(test: &str) -> Self {
            let path = std::env::temp_dir().join(format!("tapcode-xtask-{test}-{}", std::process::id()));
            fs::create_dir_all(&path).unwrap();
            Folder(path)
        }

        fn program(&self, name: &str, script: &str) -> PathBuf {
            let path = self.0.join(name);
            // Written by a child: while this process holds a file open for writing, a fork in another
            // test's thread would hold it too, and starting the program would fail as "text file busy".
            let mut writer = Command::new("sh");
            writer.args(["-ec", r#"printf '#!/bin/sh\n%s\n' "$2" >"$1"; chmod 755 "$1""#, "writer"]);
            child::run("writing a program", PROBE_BOUND, writer.arg(&path).arg(script)).unwrap();
            path
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    const PROBED: Program = Program {
        name: "Probe 18",
        reason: "the test asks for it",
        variable: None,
        names: &["first-name", "second-name"],
        probe: &["good?"],
        packages: &["probe"],
    };

    #[test]
    fn a_program_that_answers_badly_is_passed_over() {
        let (old, new) = (Folder::new("old"), Folder::new("new"));
        old.program("first-name", "echo too old >&2; exit 1");
        let path = std::env::join_paths([&old.0, &new.0]).unwrap();
        let error = format!("{:#}", locate(&PROBED, &path).unwrap_err());
        assert!(error.contains("too old"), "{error}");

        let good = new.program("second-name", "test \"$1\" = good?");
        assert_eq!(locate(&PROBED, &path).unwrap(), good);
    }

    #[test]
    fn what_is_missing_is_said_with_its_reason() {
        let error = locate(&PROBED, OsStr::new("")).context(explain(&PROBED)).unwrap_err();
        let error = format!("{error:#}");
        assert!(
            error.contains("Probe 18 (the test asks for it)") && error.contains("second-name"),
            "{error}"
        );
    }

    #[test]
    fn a_driver_of_another_version_is_refused() {
        let folder = Folder::new("versions");
        let browser = folder.program("browser", "echo Chromium 156.0.1 built on Debian 12");
        let same = folder.program("same", "echo 'ChromeDriver 156.0.2 (abc)'");
        let other = folder.program("other", "echo 'ChromeDriver 155.9.9 (abc)'");
        ensure_same_version(&browser, &same).unwrap();
        assert!(ensure_same_version(&browser, &other).is_err());
    }

    #[test]
    fn a_folder_is_made_once_per_pins_and_again_after_half_a_making() {
        let folder = Folder::new("once");
        let (pin, home) = (folder.0.join("pin"), folder.0.join("home"));
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            Ok(fs::create_dir_all(&home)?)
        };
        fs::write(&pin, "one").unwrap();
        once_per(&[&pin], &home, make).unwrap();
        once_per(&[&pin], &home, make).unwrap();
        assert_eq!(made.get(), 1);
        fs::write(&pin, "two").unwrap();
        assert!(once_per(&[&pin], &home, || make().and_then(|()| bail!("the line broke"))).is_err());
        once_per(&[&pin], &home, make).unwrap();
        assert_eq!(made.get(), 3);
    }
}
