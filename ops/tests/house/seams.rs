//! The seams: traits in the stages whose calls are awaited on whatever backend was chosen.

/// A seam's name, where it is, and how many methods it has.
pub(super) type Seam = (String, String, usize);

/// The public traits of a file that are made into objects, as every seam is.
pub(super) fn in_source(path: &str, text: &str) -> Vec<Seam> {
    let mut seams = Vec::new();
    for part in text.split("#[async_trait]\npub trait ").skip(1) {
        let name = part.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
        let body = part.split("\n}").next().unwrap_or_default();
        let is_method =
            |line: &&str| line.starts_with("    async fn ") || line.starts_with("    fn ");
        seams.push((name.to_owned(), path.to_owned(), body.lines().filter(is_method).count()));
    }
    seams
}

/// The rows of the table of seams, and the files of their contracts.
pub(super) fn in_table(page: &str) -> (Vec<Seam>, Vec<String>) {
    let table = page.split("| Seam | Methods | Where | Contract |").nth(1).unwrap_or_default();
    let rows = table.lines().skip(2).take_while(|line| line.starts_with('|'));
    rows.map(|row| {
        let quoted: Vec<&str> = row.split('`').collect();
        let [_, name, rest, path, _, contract, _] = quoted[..] else { panic!("{row}") };
        let methods = rest.split('|').nth(1).and_then(|cell| cell.trim().parse().ok());
        let methods = methods.unwrap_or_else(|| panic!("no number of methods: {row}"));
        ((name.to_owned(), path.to_owned(), methods), contract.to_owned())
    })
    .unzip()
}
