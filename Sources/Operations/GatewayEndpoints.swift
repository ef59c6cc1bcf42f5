import Broker
import NIOHTTP1

/// `/v1/gateways`: the living gateways.
enum GatewayEndpoints {
    /// Fields that the gateways themselves write as numbers.
    private static let numbers: Set = ["connections", "groups", "pid", "seen"]

    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .GET, "/v1/gateways", "the gateways that are alive", .api,
                .later { _ in
                    do throws(BackplaneError) {
                        let gateways = try await administration.gateways()
                        return .json(.ok, "{\"gateways\":[\(gateways.map(json).joined(separator: ","))]}")
                    } catch {
                        return .error(error)
                    }
                })
        ]
    }

    private static func json(_ gateway: FleetGateway) -> String {
        let fields = gateway.fields.sorted { $0.key < $1.key }.filter { $0.key != "gateway" }.map { key, value in
            let isNumber = numbers.contains(key) && value.wholeMatch(of: /[0-9]+(\.[0-9]+)?/) != nil
            return ",\(AdminAnswer.quoted(key)):\(isNumber ? value : AdminAnswer.quoted(value))"
        }
        return "{\"gateway\":\(AdminAnswer.quoted(gateway.id))\(fields.joined())}"
    }
}
