import Broker

/// Applies a login to a route: the groups to join, and the rights of a centrifuge client.
extension Route {
    /// The values for the route's templates, and the groups that result.
    ///
    /// - Throws: `NameError` when a template does not resolve to a group name.
    func groups(
        _ values: [String: String], _ identity: Identity?
    ) throws(NameError) -> (values: [String: String], groups: [GroupName]) {
        var values = values
        values["user"] = identity?.user
        for (name, claim) in identity?.claims ?? [:] { values["claims.\(name)"] = claim }
        var groups: [GroupName] = []
        for template in self.groups {
            let group = try template.resolve(values)
            if !groups.contains(group) { groups.append(group) }
        }
        for group in identity?.groups ?? [] where !groups.contains(group) { groups.append(group) }
        return (values, groups)
    }

    func access(_ values: [String: String], _ groups: [GroupName], _ identity: Identity?) -> CentrifugeAccess {
        CentrifugeAccess(
            serverGroups: groups, mayJoin: mayJoin.compactMap { $0.pattern(values) },
            mayPublish: mayPublish.compactMap { $0.pattern(values) },
            mayPublishWhereItMayJoin: receive == .groupSend,
            maySee: maySee.map { $0.compactMap { $0.pattern(values) } }, user: identity?.user, info: identity?.info)
    }
}
