//! Finds a request's route by the segments of its path; literal segments win over parameters.
use crate::metrics::RouteMetrics;
use crate::routes::{ROUTES, Route, Verb};
use http::{HeaderValue, Method};
use std::ops::Range;
use std::sync::Arc;

/// A route with its metrics at hand.
pub(crate) struct RouteEntry {
    pub route: &'static Route,
    pub metrics: Arc<RouteMetrics>,
}

/// What a path and method lead to.
pub(crate) enum RouteMatch<'r> {
    /// The route, and where in the path its parameter is.
    Route(&'r RouteEntry, Range<usize>),
    /// There is something here, for these methods.
    OtherMethods(&'r HeaderValue),
    Nothing,
}

/// All routes, by how many segments they have.
pub(crate) struct Router {
    by_length: Vec<Vec<Resource>>,
    /// For requests that no route answered.
    pub unmatched: Arc<RouteMetrics>,
}

/// The routes of one path template.
struct Resource {
    template: &'static str,
    /// The literal text that its paths begin with.
    start: &'static str,
    segments: Vec<Segment>,
    methods: Vec<RouteEntry>,
    allow: HeaderValue,
}

enum Segment {
    Literal(&'static str),
    /// A parameter, followed by this text.
    Param(&'static str),
}

impl Router {
    pub(crate) fn new() -> Self {
        let mut by_length: Vec<Vec<Resource>> = Vec::new();
        for route in &ROUTES {
            let segments: Vec<Segment> = split(route.path).map(segment).collect();
            if by_length.len() <= segments.len() {
                by_length.resize_with(segments.len() + 1, Vec::new);
            }
            let resources = &mut by_length[segments.len()];
            let known = RouteEntry { route, metrics: Arc::new(RouteMetrics::new(route.path)) };
            match resources.iter_mut().find(|resource| resource.template == route.path) {
                Some(resource) => resource.methods.push(known),
                None => resources.push(Resource {
                    template: route.path,
                    start: route.path.split('{').next().unwrap_or_default(),
                    segments,
                    methods: vec![known],
                    allow: HeaderValue::from_static(""),
                }),
            }
        }
        for resources in &mut by_length {
            // A parameter with a text behind it is tried before one without.
            resources.sort_by_key(|resource| resource.segments.iter().map(looseness).sum::<u32>());
            for resource in resources {
                resource.allow = allow(&resource.methods);
            }
        }
        Self { by_length, unmatched: Arc::new(RouteMetrics::new("unmatched")) }
    }

    pub(crate) fn find(&self, method: &Method, path: &str) -> RouteMatch<'_> {
        let Some((resource, param)) = self.resource(path) else { return RouteMatch::Nothing };
        let verb = Verb::of(method);
        match resource.methods.iter().find(|known| Some(known.route.verb) == verb) {
            Some(known) => RouteMatch::Route(known, param),
            None => RouteMatch::OtherMethods(&resource.allow),
        }
    }

    fn resource(&self, path: &str) -> Option<(&Resource, Range<usize>)> {
        if !path.starts_with('/') {
            return None;
        }
        let length = path.bytes().filter(|byte| *byte == b'/').count();
        let resources = self.by_length.get(length)?;
        resources.iter().find_map(|resource| Some((resource, fits(resource, path)?)))
    }
}

/// Where the parameter is, if the path fits; an empty range where there is none.
fn fits(resource: &Resource, path: &str) -> Option<Range<usize>> {
    if !path.starts_with(resource.start) {
        return None;
    }
    let mut param = 0..0;
    let mut at = 1;
    for (segment, text) in resource.segments.iter().zip(split(path)) {
        match segment {
            Segment::Literal(literal) if text == *literal => {}
            Segment::Literal(_) => return None,
            Segment::Param(suffix) => {
                let value = text.strip_suffix(suffix)?;
                if value.is_empty() {
                    return None;
                }
                param = at..at + value.len();
            }
        }
        at += text.len() + 1;
    }
    Some(param)
}

fn split<'p>(path: &'p str) -> std::str::Split<'p, char> {
    path.strip_prefix('/').unwrap_or(path).split('/')
}

fn segment(text: &'static str) -> Segment {
    match text.strip_prefix('{').and_then(|rest| rest.split_once('}')) {
        Some((_name, suffix)) => Segment::Param(suffix),
        None => Segment::Literal(text),
    }
}

fn looseness(segment: &Segment) -> u32 {
    match segment {
        Segment::Literal(_) => 0,
        Segment::Param(suffix) if !suffix.is_empty() => 1,
        Segment::Param(_) => 2,
    }
}

fn allow(methods: &[RouteEntry]) -> HeaderValue {
    let mut names: Vec<&str> = methods.iter().map(|known| known.route.verb.name()).collect();
    if names.contains(&"GET") {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.sort_unstable();
    HeaderValue::from_str(&names.join(", ")).expect("methods are tokens")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_to_routes() {
        let router = Router::new();
        for (method, path, expected) in [
            ("GET", "/api/events", "list_events"),
            ("HEAD", "/api/events", "list_events"),
            ("GET", "/api/events/evt_1", "get_event evt_1"),
            ("GET", "/api/queue/evt_1", "get_queue evt_1"),
            ("POST", "/api/tickets/lock", "lock_seats"),
            ("GET", "/api/tickets/lock", "list_holds"),
            ("DELETE", "/api/tickets/lock/hld_1", "release_hold hld_1"),
            ("GET", "/api/tickets/tkt_1", "get_ticket tkt_1"),
            ("GET", "/api/tickets/tkt_1.svg", "get_ticket_svg tkt_1"),
            ("GET", "/api/tickets/tkt.1.png", "get_ticket_png tkt.1"),
            ("GET", "/api/tickets/book", "allow OPTIONS, POST"),
            ("DELETE", "/api/events", "allow GET, HEAD, OPTIONS, POST"),
            ("BREW", "/api/events", "allow GET, HEAD, OPTIONS, POST"),
            ("GET", "/api/events/", "nothing"),
            ("GET", "/api//events", "nothing"),
            ("GET", "/API/events", "nothing"),
            ("GET", "/api/tickets/.svg", "get_ticket .svg"),
            ("GET", "/", "nothing"),
            ("GET", "", "nothing"),
            ("OPTIONS", "*", "nothing"),
            ("GET", "/livez", "nothing"),
        ] {
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let found = match router.find(&method, path) {
                RouteMatch::Route(known, param) => {
                    format!("{} {}", known.route.id, &path[param]).trim().to_owned()
                }
                RouteMatch::OtherMethods(allow) => format!("allow {}", allow.to_str().unwrap()),
                RouteMatch::Nothing => "nothing".to_owned(),
            };
            assert_eq!(found, expected, "{method} {path}");
        }
    }
}
