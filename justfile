# The commands people type. Each is one line, so that `just` is a convenience and never a need.

# Start the server with SQLite, the sandbox provider and the simulated phone.
dev *args:
    cargo run --package tapcode -- dev {{args}}

# Install what the tests need, check the style, run every test; with arguments only the matching tests.
test *args:
    cargo xtask test -- {{args}}

# Check format and lints.
lint:
    cargo xtask lint

# Measure speed and memory on this machine, in a release build.
bench *args:
    cargo xtask bench -- {{args}}

# Build the documentation of the code and open it.
docs:
    cargo doc --workspace --no-deps --open
