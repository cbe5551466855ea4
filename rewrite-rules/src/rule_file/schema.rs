//! The JSON schema of a rule file, from which editors complete it and tell what a key is for.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{RecursiveTransform, Transform};
use serde_json::Value;

use super::RuleFile;

/// The schema as JSON.
#[must_use]
pub fn schema() -> String {
    let mut settings = SchemaSettings::draft07();
    settings.inline_subschemas = true;
    let mut schema = settings.into_generator().into_root_schema_for::<RuleFile>();
    schema.insert("title".to_owned(), "A Crossfade rule file".into());
    RecursiveTransform(as_toml_has_it).transform(&mut schema);
    let mut text = serde_json::to_string_pretty(&schema).unwrap_or_default();
    text.push('\n');
    text
}

/// TOML has no null: what may be left out is left out. Lines of the source are none of a description's.
fn as_toml_has_it(schema: &mut Schema) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    object.remove("format");
    if let Some(Value::String(says)) = object.get_mut("description") {
        *says = says.replace('\n', " ");
    }
    if let Some(Value::Array(types)) = object.get_mut("type") {
        types.retain(|name| name != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            object.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(kinds)) = object.get_mut("anyOf") {
        kinds.retain(|kind| kind.get("type").is_none_or(|name| name != "null"));
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            object.remove("anyOf");
            if let Value::Object(only) = only {
                for (key, value) in only {
                    object.entry(key).or_insert(value);
                }
            }
        }
    }
    if let Some(Value::Array(words)) = object.get_mut("enum") {
        words.retain(|word| !word.is_null());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_schema_in_the_repository_is_the_one_of_the_code() {
        let file = concat!(env!("CARGO_MANIFEST_DIR"), "/rules.schema.json");
        let found = std::fs::read_to_string(file).unwrap_or_default();
        assert!(
            found == schema(),
            "write it anew: cargo run --bin crossfade -- schema > rewrite-rules/rules.schema.json"
        );
    }

    #[test]
    fn every_key_says_what_it_is_for() {
        fn look(path: &str, schema: &Value, told: &mut Vec<String>) {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                let path = format!("{path}.{name}");
                if property.get("description").is_none() {
                    told.push(path.clone());
                }
                look(&path, property, told);
            }
            for key in ["items", "additionalProperties"] {
                if let Some(inner) = schema.get(key) {
                    look(path, inner, told);
                }
            }
            let kinds = schema.get("anyOf").and_then(Value::as_array);
            for kind in kinds.into_iter().flatten() {
                look(path, kind, told);
            }
        }
        let schema: Value = serde_json::from_str(&schema()).expect("JSON");
        let mut silent = Vec::new();
        look("", &schema, &mut silent);
        assert_eq!(silent, Vec::<String>::new());
        assert!(schema["properties"]["table"]["items"]["properties"]["columns"].is_object());
    }
}
