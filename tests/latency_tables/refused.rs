//! Tables that do not fit a space's networks: each is rejected with the name of what is missing or wrong.

use lat_data::BlockFile;
use lat_predictor::PieceCosts;
use lat_space::find_space;

use super::{costs, expected, tables};

fn told(id: &str, files: &[BlockFile]) -> String {
    let space = find_space(id).unwrap();
    let found = PieceCosts::of_tables(space.as_ref(), "latency_ms", files);
    found.and_then(|costs| costs.table(space.as_ref())).unwrap_err().to_string()
}

#[test]
fn a_table_without_a_row_is_refused_whichever_it_is() {
    let whole = tables("proxyless.yaml");
    assert_eq!(whole[0].rows.len(), 70);
    for name in whole[0].rows.keys() {
        let mut part = whole.clone();
        part[0].rows.remove(name);
        let error = told("proxyless", &part);
        assert!(error.contains(&format!("a row '{name}'")), "{name}: {error}");
    }
}

#[test]
fn an_architecture_is_priced_where_its_own_rows_are_there() {
    let space = find_space("proxyless").unwrap();
    let mut part = tables("proxyless.yaml");
    part[0].rows.retain(|name, _| !name.contains("kernel:7"));
    let costs = costs(space.as_ref(), &part);
    let networks = expected()["proxyless networks"].as_array().unwrap().clone();
    let [small, large] =
        [0, 1].map(|i| space.parse(networks[i]["text"].as_str().unwrap()).unwrap());
    let ms = networks[0]["ms"].as_f64().unwrap();
    assert!((costs.cost(&small).unwrap() / ms - 1.0).abs() < 1e-9);
    let error = costs.cost(&large).unwrap_err().to_string();
    assert!(error.contains("kernel:7"), "{error}");
}

#[test]
fn a_size_of_the_image_without_a_table_is_named() {
    let error = told("ofa-w12", &tables("ofa"));
    assert!(
        error.contains("images of 128 pixels") && error.contains("160, 176, 192, 208, 224"),
        "{error}"
    );
}

#[test]
fn other_forms_and_other_widths_are_refused() {
    let error = told("ofa-w12", &tables("proxyless.yaml"));
    assert!(
        error.contains("Once-for-All") && error.contains("one of ProxylessNAS: row"),
        "{error}"
    );
    let error = told("proxyless", &tables("ofa"));
    assert!(error.contains("in the form of ProxylessNAS, found one of Once-for-All"), "{error}");
    assert!(told("fbnet-hwnas", &tables("ofa")).contains("HW-NAS-Bench"));
    // There are no published tables for this space's blocks.
    let error = told("fbnet", &tables("ofa"));
    assert!(error.contains("fbnet-hwnas") && error.contains("found fbnet;"), "{error}");
    for (id, name) in [
        ("proxyless-mobile", "proxyless.yaml"),
        ("proxyless-gpu", "proxyless.yaml"),
        ("ofa-proxyless", "proxyless.yaml"),
        ("ofa", "ofa"),
    ] {
        let error = told(id, &tables(name));
        let widths = error.contains("of other widths") && error.contains("expanded_conv-input");
        // The form has no names for expansions that are not whole numbers.
        assert!(
            widths || error.contains("no row for") || error.contains("pixels"),
            "{id}: {error}"
        );
    }
}

#[test]
fn tables_of_one_size_that_disagree_are_refused() {
    let mut files = tables("ofa");
    let mut other = files[0].clone();
    other.path = "other.yaml".into();
    files.push(other.clone());
    assert!(told("ofa-w12", &files).contains("128 pixels"));
    let name = other.rows.keys().next().unwrap().clone();
    files.last_mut().unwrap().rows.insert(name.clone(), 7.0);
    let error = told("ofa-w12", &files);
    assert!(error.contains(&name) && error.contains("7 ms in other.yaml"), "{error}");
}
