import Broker
import NIOHTTP1

/// `/v1/users`: operations on a user's connections.
enum UserEndpoints {
    static func all(_ administration: any Administration) -> [AdminEndpoint] {
        [
            AdminEndpoint(
                .DELETE, "/v1/users/{user}/connections", "end all connections of a user, on all gateways", .api,
                .later { request in
                    do throws(BackplaneError) {
                        let heard = try await administration.end(.user(request.parameters["user"] ?? ""))
                        return .json(.ok, heard.write)
                    } catch {
                        return .error(error)
                    }
                })
        ]
    }
}
