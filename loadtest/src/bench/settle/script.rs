//! What was recorded, as a script for pgbench: a block a client, its statements prepared once.
use super::recording::{Said, Saying};
use crate::postgres_wire::Fields;
use anyhow::{Context, bail};

/// Types by their number in the catalogue, which never changes.
const TYPES: [(i32, &str); 6] = [
    (16, "boolean"),
    (20, "bigint"),
    (25, "text"),
    (1000, "boolean[]"),
    (1009, "text[]"),
    (1016, "bigint[]"),
];

/// The whole script: client N says what the Nth list says.
pub(super) fn script(said: &[Said]) -> anyhow::Result<String> {
    let mut script = String::new();
    for (client, sayings) in said.iter().enumerate() {
        script.push_str(&format!("\\if :client_id = {client}\n"));
        let mut prepared: Vec<&str> = Vec::new();
        for saying in sayings {
            match saying {
                Saying::Plain(sql) => script.push_str(&format!("{sql};\n")),
                Saying::Prepared { sql, types, values } => {
                    let known = prepared.iter().position(|other| other == sql);
                    let at = known.unwrap_or(prepared.len());
                    if known.is_none() {
                        prepared.push(sql);
                        let names = types.iter().map(|oid| type_name(*oid));
                        let names = names.collect::<anyhow::Result<Vec<_>>>()?.join(", ");
                        script.push_str(&format!("PREPARE s{at} ({names}) AS {sql};\n"));
                    }
                    let literals = types.iter().zip(values).map(|(oid, value)| match value {
                        Some(bytes) => literal(*oid, bytes),
                        None => Ok("NULL".to_owned()),
                    });
                    let literals = literals.collect::<anyhow::Result<Vec<_>>>()?.join(", ");
                    script.push_str(&format!("EXECUTE s{at} ({literals});\n"));
                }
            }
        }
        script.push_str("\\endif\n");
    }
    Ok(script)
}

fn type_name(oid: i32) -> anyhow::Result<&'static str> {
    let known = TYPES.iter().find(|(known, _)| *known == oid);
    known.map(|(_, name)| *name).with_context(|| format!("a value of type {oid} was recorded"))
}

/// A binary value as SQL.
fn literal(oid: i32, bytes: &[u8]) -> anyhow::Result<String> {
    let text = match oid {
        1000 | 1009 | 1016 => array(oid, bytes).context("an array that cannot be read")?,
        _ => element(oid, bytes).context("a value that cannot be read")?,
    };
    if text.contains('\\') && text.contains('\0') {
        bail!("a value with a NUL");
    }
    Ok(format!("'{}'", text.replace('\'', "''")))
}

/// The array's own notation, every element in quotes.
fn array(oid: i32, bytes: &[u8]) -> Option<String> {
    let element_oid = match oid {
        1000 => 16,
        1016 => 20,
        _ => 25,
    };
    let mut fields = Fields(bytes);
    let dimensions = fields.integer()?;
    let (_has_null, _type) = (fields.integer()?, fields.integer()?);
    if dimensions == 0 {
        return Some("{}".to_owned());
    }
    let (count, _from) = (fields.integer()?, fields.integer()?);
    let elements = (0..count).map(|_| {
        let Some(value) = fields.value()? else { return Some("NULL".to_owned()) };
        let text = element(element_oid, value)?;
        Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
    });
    Some(format!("{{{}}}", elements.collect::<Option<Vec<_>>>()?.join(",")))
}

fn element(oid: i32, bytes: &[u8]) -> Option<String> {
    match oid {
        16 => Some(if bytes == [1] { "t" } else { "f" }.to_owned()),
        20 => Some(i64::from_be_bytes(bytes.try_into().ok()?).to_string()),
        _ => std::str::from_utf8(bytes).ok().map(str::to_owned),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(values: &[Option<&str>]) -> Vec<u8> {
        let count = i32::try_from(values.len()).unwrap();
        let mut bytes = Vec::new();
        for field in [i32::from(count > 0), 1, 25] {
            bytes.extend(field.to_be_bytes());
        }
        if count > 0 {
            bytes.extend([count.to_be_bytes(), 1_i32.to_be_bytes()].concat());
        }
        for value in values {
            let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
            bytes.extend(length.to_be_bytes());
            bytes.extend(value.unwrap_or_default().bytes());
        }
        bytes
    }

    #[test]
    fn values_become_literals() {
        for (oid, bytes, expected) in [
            (20, (-7_i64).to_be_bytes().to_vec(), "'-7'"),
            (16, vec![1], "'t'"),
            (25, b"it's".to_vec(), "'it''s'"),
            (1009, texts(&[]), "'{}'"),
            (1009, texts(&[Some("a"), None]), "'{\"a\",NULL}'"),
            (1009, texts(&[Some(r#"{"k":"v\"#)]), r#"'{"{\"k\":\"v\\"}'"#),
        ] {
            assert_eq!(literal(oid, &bytes).unwrap(), expected);
        }
        assert!(literal(1009, b"\x00").is_err());
    }

    #[test]
    fn a_client_prepares_once_and_says_all() {
        let values = vec![Some(b"x".to_vec())];
        let asked = Saying::Prepared { sql: "SELECT $1".into(), types: vec![25], values };
        let said = vec![Saying::Plain("BEGIN".into()), asked.clone(), asked];
        assert_eq!(
            script(&[said]).unwrap(),
            "\\if :client_id = 0\nBEGIN;\nPREPARE s0 (text) AS SELECT $1;\nEXECUTE s0 ('x');\n\
             EXECUTE s0 ('x');\n\\endif\n"
        );
        let unreadable =
            Saying::Prepared { sql: "SELECT $1".into(), types: vec![1], values: vec![] };
        assert!(script(&[vec![unreadable]]).is_err());
    }
}
