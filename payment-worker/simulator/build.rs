//! Builds again when a migration is added: the macro that embeds them watches only known files.
fn main() {
    println!("cargo:rerun-if-changed=migrations");
}
