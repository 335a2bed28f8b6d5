//! Files that `[watch]` names: `include`, whose rules count as if they stood here.

use std::{fs, path::Path};

use super::{
    super::{
        parse_toml,
        read::{Faults, Table},
        source::ConfigError,
        value,
    },
    rules::Rules,
};

/// Reads all files that `watch` names into `rules`.
pub(super) fn read(watch: &mut Table<'_>, base: &Path, rules: &mut Rules) {
    let files = watch.or("include", Vec::new(), |v| value::some_of(v, "[\"rules.toml\"]", value::text));
    for file in files {
        for fault in read_file(&base.join(&file), rules) {
            watch.fault(watch.span_of("include"), fault.0, fault.1);
        }
    }
}

/// Reads a file of rules; its faults come back with their places and what would be accepted.
fn read_file(path: &Path, rules: &mut Rules) -> Vec<(String, String)> {
    let name = path.display().to_string();
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => return vec![(format!("{name}: cannot be read: {error}"), String::new())],
    };
    let faults = Faults::default();
    let problems = match parse_toml(&name, &text) {
        Err(ConfigError::Faults { problems, .. }) => problems,
        Err(error @ ConfigError::Unreadable { .. }) => return vec![(error.to_string(), String::new())],
        Ok(root) => {
            let mut file = Table::new("an included file", 0..0, root.get_ref(), &faults);
            if let Some(mut watch) = file.table("watch", "[watch]") {
                rules.read(&mut watch, &name);
                watch.finish();
            }
            file.finish();
            faults.take()
        }
    };
    ConfigError::places(&name, &text, problems)
}
