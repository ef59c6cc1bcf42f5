import Broker
import NIOHTTP1

/// The OpenAPI 3.1 description of the admin port, generated from the table of endpoints, so that it always matches what is
/// served.
enum OpenAPI {
    static func endpoint(_ endpoints: [AdminEndpoint]) -> AdminEndpoint {
        AdminEndpoint(
            .GET, "/openapi.json", "this list, as OpenAPI", .health,
            .now { _ in .json(.ok) { write(endpoints, to: &$0) } })
    }

    static func write(_ endpoints: [AdminEndpoint], to json: inout JSONWriter) {
        json.string("openapi", "3.1.0")
        json.object("info") { json in
            json.string("title", "Tocsin, admin port")
            json.string("version", "1")
        }
        var paths: [String] = []
        for endpoint in endpoints where !paths.contains(endpoint.path) { paths.append(endpoint.path) }
        json.object("paths") { json in
            for path in paths {
                json.object(path) { json in
                    for endpoint in endpoints where endpoint.path == path {
                        json.object(endpoint.method.rawValue.lowercased()) { write(endpoint, to: &$0) }
                    }
                }
            }
        }
        json.object("components", components)
    }

    private static func components(_ json: inout JSONWriter) {
        json.object("securitySchemes") { json in
            json.object("key") { json in
                json.string("type", "http")
                json.string("scheme", "bearer")
            }
        }
        json.object("schemas") { json in
            json.object("Error") { json in
                json.string("type", "object")
                json.object("properties") { json in
                    json.object("error") { json in
                        json.string("type", "object")
                        json.object("properties") { json in
                            for name in ["code", "message", "remedy"] {
                                json.object(name) { $0.string("type", "string") }
                            }
                        }
                    }
                }
            }
        }
    }

    private static func write(_ endpoint: AdminEndpoint, to json: inout JSONWriter) {
        json.string("summary", endpoint.summary)
        json.array("parameters") { json in
            for segment in endpoint.path.split(separator: "/") where segment.hasPrefix("{") {
                json.object { json in
                    json.string("name", String(segment.dropFirst().dropLast()))
                    json.string("in", "path")
                    json.bool("required", true)
                    json.object("schema") { $0.string("type", "string") }
                }
            }
            for parameter in endpoint.parameters {
                json.object { json in
                    json.string("name", parameter.name)
                    json.string("in", parameter.place.rawValue)
                    json.string("description", parameter.meaning)
                    json.object("schema") { $0.string("type", "string") }
                }
            }
        }
        if endpoint.body != .none {
            json.object("requestBody") { json in
                json.bool("required", endpoint.body == .required)
                content(&json) { $0.string("type", "object") }
            }
        }
        if endpoint.level != .health {
            json.array("security") { json in json.object { $0.array("key") { _ in } } }
        }
        json.object("responses") { json in
            for success in endpoint.successes {
                json.object(String(success.status)) { $0.string("description", success.meaning) }
            }
            json.object("default") { json in
                json.string("description", "an error")
                content(&json) { $0.string("$ref", "#/components/schemas/Error") }
            }
        }
    }

    private static func content(_ json: inout JSONWriter, schema: (inout JSONWriter) -> Void) {
        json.object("content") { json in
            json.object("application/json") { $0.object("schema", schema) }
        }
    }
}
