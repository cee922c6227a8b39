//! Values by chance: those that a schema allows, and any at all.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use proptest::prelude::*;
use serde_json::{Map, Number, Value, json};

/// Values that the API server accepts where it has `schema`. Rules in CEL are not looked at, so that some values are
/// among them that the API server refuses.
pub(super) fn of(schema: &JSONSchemaProps) -> BoxedStrategy<Value> {
    let value = match schema.type_.as_deref() {
        _ if schema.enum_.is_some() => {
            let values: Vec<_> = schema.enum_.iter().flatten().map(|value| value.0.clone()).collect();
            proptest::sample::select(values).boxed()
        }
        _ if schema.x_kubernetes_int_or_string == Some(true) => {
            prop_oneof![any::<i32>().prop_map(Value::from), text(schema)].boxed()
        }
        Some("object") => object(schema),
        Some("array") => array(schema),
        Some("string") => text(schema),
        Some("integer") => integer(schema),
        Some("number") => any::<f64>()
            .prop_filter_map("a number", Number::from_f64)
            .prop_map(Value::Number)
            .boxed(),
        Some("boolean") => any::<bool>().prop_map(Value::Bool).boxed(),
        other => panic!("the definition has a type that is not known here: {other:?}"),
    };
    match schema.nullable {
        Some(true) => prop_oneof![1 => Just(Value::Null), 9 => value].boxed(),
        _ => value,
    }
}

fn object(schema: &JSONSchemaProps) -> BoxedStrategy<Value> {
    if let Some(JSONSchemaPropsOrBool::Schema(entry)) = &schema.additional_properties {
        return proptest::collection::btree_map("[a-z./-]{0,12}", of(entry), 0..3)
            .prop_map(|entries| json!(entries))
            .boxed();
    }
    if schema.x_kubernetes_preserve_unknown_fields == Some(true) {
        return proptest::collection::btree_map("[a-z]{0,5}", json(".{0,3}".boxed()), 0..3)
            .prop_map(|entries| json!(entries))
            .boxed();
    }
    let required = schema.required.clone().unwrap_or_default();
    let start = Just(Map::new()).boxed();
    let properties = schema.properties.iter().flatten();
    let object = properties.fold(start, |object, (name, property)| {
        // The API server fills in defaults; an explicit null gives way to one, or stands for nothing.
        let needed = required.contains(name) || property.default.is_some();
        let value = of(property);
        let value = match needed {
            true => value.prop_map(Some).boxed(),
            false => proptest::option::weighted(0.3, value).boxed(),
        };
        let (name, default) = (name.clone(), property.default.clone());
        (object, value)
            .prop_map(move |(mut object, value)| {
                let value = match (value, &default) {
                    (Some(Value::Null), Some(default)) => Some(default.0.clone()),
                    (value, _) => value,
                };
                object.extend(value.map(|value| (name.clone(), value)));
                object
            })
            .boxed()
    });
    object.prop_map(Value::Object).boxed()
}

fn array(schema: &JSONSchemaProps) -> BoxedStrategy<Value> {
    let Some(JSONSchemaPropsOrArray::Schema(item)) = &schema.items else {
        panic!("the definition has a list of anything");
    };
    proptest::collection::vec(of(item), 0..3).prop_map(Value::Array).boxed()
}

fn text(schema: &JSONSchemaProps) -> BoxedStrategy<Value> {
    if schema.format.as_deref() == Some("date-time") {
        return Just(json!("2026-01-02T03:04:05Z")).boxed();
    }
    let pattern = schema.pattern.as_deref().unwrap_or("^.{0,8}$");
    let bare = pattern.trim_start_matches('^').trim_end_matches('$');
    let text = proptest::string::string_regex(bare).expect("a pattern that can be generated");
    text.prop_map(Value::String).boxed()
}

/// The bounds themselves and what lies between them.
fn integer(schema: &JSONSchemaProps) -> BoxedStrategy<Value> {
    let bound = |bound: Option<f64>, other| bound.map_or(other, |bound| bound as i128);
    let (least, most) = (
        bound(schema.minimum, i128::from(i64::MIN)),
        bound(schema.maximum, i128::from(i64::MAX)),
    );
    let number = |number: i128| i64::try_from(number).map_or(Value::Null, Value::from);
    prop_oneof![Just(least), Just(most), least..=most]
        .prop_map(number)
        .boxed()
}

/// Any value whose objects have such keys.
pub(super) fn json(key: BoxedStrategy<String>) -> BoxedStrategy<Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::from),
        ".{0,8}".prop_map(Value::from),
    ];
    leaf.prop_recursive(4, 24, 4, move |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            proptest::collection::btree_map(key.clone(), inner, 0..4).prop_map(|entries| json!(entries)),
        ]
    })
    .boxed()
}
