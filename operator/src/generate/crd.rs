//! The definition of EtcdCluster.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::{
    CustomResourceDefinition, JSONSchemaProps, JSONSchemaPropsOrArray, JSONSchemaPropsOrBool,
};
use kube::CustomResourceExt;
use muster_api::EtcdCluster;

use super::{manifest, yaml};

/// The largest number below 2^63 that a bound, which is a floating-point number, can hold exactly.
const INT64_MAX: f64 = 9_223_372_036_854_774_784.0;

pub(super) fn text() -> anyhow::Result<String> {
    Ok(manifest("Generated. The definition of EtcdCluster.", vec![object()?]))
}

/// The definition without a header.
pub(super) fn object() -> anyhow::Result<String> {
    yaml(&definition())
}

/// The definition, with bounds for all numbers.
///
/// The API server takes the format of a number for a comment: without bounds it stores numbers that neither our types
/// nor Kubernetes' own can hold.
pub(crate) fn definition() -> CustomResourceDefinition {
    let mut definition = EtcdCluster::crd();
    let schemas = definition
        .spec
        .versions
        .iter_mut()
        .filter_map(|version| version.schema.as_mut());
    for schema in schemas.filter_map(|schema| schema.open_api_v3_schema.as_mut()) {
        bound(schema);
    }
    definition
}

fn bound(schema: &mut JSONSchemaProps) {
    let (minimum, maximum) = match schema.format.as_deref() {
        Some("int32") => (f64::from(i32::MIN), f64::from(i32::MAX)),
        Some("int64") => (-INT64_MAX, INT64_MAX),
        _ => (f64::NEG_INFINITY, f64::INFINITY),
    };
    if minimum.is_finite() {
        schema.minimum.get_or_insert(minimum);
        schema.maximum.get_or_insert(maximum);
    }
    schema
        .properties
        .iter_mut()
        .flatten()
        .for_each(|(_, inner)| bound(inner));
    if let Some(JSONSchemaPropsOrBool::Schema(inner)) = &mut schema.additional_properties {
        bound(inner);
    }
    match &mut schema.items {
        Some(JSONSchemaPropsOrArray::Schema(inner)) => bound(inner),
        Some(JSONSchemaPropsOrArray::Schemas(inner)) => inner.iter_mut().for_each(bound),
        None => {}
    }
}
