//! What has changed between two states, as a JSON merge patch (RFC 7396).

use serde_json::Value;

/// What makes `new` of `old`; none where they are equal. A member that is `null` is one that is not there.
pub(super) fn merge_patch(old: &Value, new: &Value) -> Option<Value> {
    if old == new {
        return None;
    }
    let (Value::Object(old), Value::Object(new)) = (old, new) else { return Some(new.clone()) };
    let gone = old.keys().filter(|key| !new.contains_key(*key)).map(|key| (key.clone(), Value::Null));
    let changed = new.iter().filter_map(|(key, value)| {
        let patch = old.get(key).map_or_else(|| Some(value.clone()), |before| merge_patch(before, value));
        patch.map(|patch| (key.clone(), patch))
    });
    Some(Value::Object(gone.chain(changed).collect()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// RFC 7396, section 2, word for word.
    fn apply(target: Value, patch: &Value) -> Value {
        let Value::Object(patch) = patch else { return patch.clone() };
        let mut target = if let Value::Object(target) = target { target } else { serde_json::Map::new() };
        for (key, value) in patch {
            if value.is_null() {
                target.remove(key);
            } else {
                let before = target.remove(key).unwrap_or(Value::Null);
                target.insert(key.clone(), apply(before, value));
            }
        }
        Value::Object(target)
    }

    fn object() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<bool>().prop_map(Value::from), (0..3u8).prop_map(Value::from)];
        let value = leaf.prop_recursive(3, 20, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map("[a-c]", inner, 0..4)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        });
        prop::collection::btree_map("[a-c]", value, 0..4)
            .prop_map(|map| Value::Object(map.into_iter().collect()))
    }

    proptest! {
        #[test]
        fn a_patch_makes_the_new_of_the_old(old in object(), new in object()) {
            let patch = merge_patch(&old, &new);
            prop_assert_eq!(patch.is_none(), old == new);
            prop_assert_eq!(apply(old, &patch.unwrap_or_else(|| json!({}))), new);
        }
    }

    #[test]
    fn only_what_changed_travels() {
        let old = json!({ "id": "a", "progress": { "done": 1, "total": 9 }, "error": "e" });
        let new = json!({ "id": "a", "progress": { "done": 2, "total": 9 } });
        assert_eq!(merge_patch(&old, &new), Some(json!({ "progress": { "done": 2 }, "error": null })));
    }
}
