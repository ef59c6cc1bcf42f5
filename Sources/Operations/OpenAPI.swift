import NIOHTTP1

/// The OpenAPI 3.1 description of the admin port, generated from the table of endpoints, so that it always matches what is
/// served.
enum OpenAPI {
    static func endpoint(_ endpoints: [AdminEndpoint]) -> AdminEndpoint {
        AdminEndpoint(
            .GET, "/openapi.json", "this list, as OpenAPI", .health, .now { _ in .json(.ok, text(endpoints)) })
    }

    static func text(_ endpoints: [AdminEndpoint]) -> String {
        var paths: [String] = []
        for endpoint in endpoints where !paths.contains(endpoint.path) { paths.append(endpoint.path) }
        let items = paths.map { path in
            let operations = endpoints.filter { $0.path == path }.map(operation)
            return "\(AdminAnswer.quoted(path)):{\(operations.joined(separator: ","))}"
        }
        return #"{"openapi":"3.1.0","info":{"title":"Tocsin, admin port","version":"1"},"paths":{"#
            + items.joined(separator: ",")
            + #"},"components":{"securitySchemes":{"key":{"type":"http","scheme":"bearer"}},"#
            + #""schemas":{"Error":{"type":"object","properties":{"error":{"type":"object","properties":"#
            + #"{"code":{"type":"string"},"message":{"type":"string"},"remedy":{"type":"string"}}}}}}}}"#
    }

    private static func operation(_ endpoint: AdminEndpoint) -> String {
        let inPath = endpoint.path.split(separator: "/").filter { $0.hasPrefix("{") }.map { name in
            #"{"name":\#(AdminAnswer.quoted(String(name.dropFirst().dropLast()))),"in":"path","required":true,"#
                + #""schema":{"type":"string"}}"#
        }
        let others = endpoint.parameters.map { parameter in
            #"{"name":\#(AdminAnswer.quoted(parameter.name)),"in":"\#(parameter.place.rawValue)","#
                + #""description":\#(AdminAnswer.quoted(parameter.meaning)),"schema":{"type":"string"}}"#
        }
        let body =
            endpoint.method == .POST
            ? #""requestBody":{"required":true,"content":{"application/json":{"schema":{"type":"object"}}}},"# : ""
        let security = endpoint.level == .health ? "" : #""security":[{"key":[]}],"#
        let success = endpoint.method == .POST ? "201" : "200"
        let failure =
            ##"{"description":"an error","content":{"application/json":{"schema":"##
            + ##"{"$ref":"#/components/schemas/Error"}}}}"##
        return #""\#(endpoint.method.rawValue.lowercased())":{"summary":\#(AdminAnswer.quoted(endpoint.summary)),"#
            + #""parameters":[\#((inPath + others).joined(separator: ","))],\#(body)\#(security)"#
            + #""responses":{"\#(success)":{"description":"done"},"default":\#(failure)}}"#
    }
}
