//! Registration of the address that card callbacks go to.

use serde_json::json;

use super::fields::{flag, required, text};
use super::{Answer, Call, Refusal};
use crate::dingtalk::world::Route;

/// `POST /v1.0/card/callbacks/register`: one key, one address.
pub(super) fn register(call: &Call<'_>) -> Answer {
    let key = required(&call.body, "callbackRouteKey", "param.callbackRouteKeyEmpty")?;
    let url = required(&call.body, "callbackUrl", "param.callbackUrlEmpty")?;
    let is_http = url::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https"));
    if !is_http {
        return Err(Refusal::bad("param.callbackUrlInvalid", "callbackUrl is not an http(s) address"));
    }
    let force = flag(&call.body, "forceUpdate")?;
    let api_secret = text(&call.body, "apiSecret").map(str::to_owned);
    let mut world = call.shared.world();
    if !force && world.routes.contains_key(key) {
        return Err(Refusal::new(500, "param.callbackRouteKeyExist", "the key is registered already"));
    }
    let result = json!({"callbackUrl": url, "apiSecret": api_secret});
    world.routes.insert(key.to_owned(), Route { url: url.to_owned(), api_secret });
    Ok(json!({"success": true, "result": result}))
}
