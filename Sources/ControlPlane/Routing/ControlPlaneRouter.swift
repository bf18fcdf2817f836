import HTTPTypes
import Hummingbird
import Issuance
import Logging

/// Builds the router of one listener from its routes. Each listener is a list of routes and a rule of access.
func controlPlaneRouter(
    _ routes: [Route], issuer: Issuer, access: AccessRule, logger: Logger
) -> Router<ControlPlaneContext> {
    // HEAD goes with every GET (RFC 9110 §9.3.2).
    let router = Router(context: ControlPlaneContext.self, options: [.autoGenerateHeadEndpoints])
    router.add(middleware: RequestMetrics())
    router.add(middleware: RequestLog(logger: logger))
    router.add(middleware: ProblemAnswers(methods: AllowedMethods(routes), logger: logger))
    for route in routes {
        router.on(RouterPath(route.path), method: route.method) { request, context in
            try await route.respond(to: request, context, issuer: issuer, access: access)
        }
    }
    return router
}

/// The methods that a path knows, for `Allow` (RFC 9110 §15.5.6).
struct AllowedMethods: Sendable {
    private let paths: [(segments: [Substring], methods: [String])]

    init(_ routes: [Route]) {
        paths = Dictionary(grouping: routes, by: \.path).sorted { $0.key < $1.key }.map { path, routes in
            let methods = routes.map(\.method.rawValue)
            return (path.split(separator: "/"), (methods.contains("GET") ? methods + ["HEAD"] : methods).sorted())
        }
    }

    /// Nil when there is no such path. Literal segments win over captures, as in the router.
    func methods(at path: String) -> [String]? {
        let segments = path.split(separator: "/")
        return paths.filter { Self.matches($0.segments, segments) }
            .min { Self.captures($0.segments) < Self.captures($1.segments) }?.methods
    }

    private static func matches(_ template: [Substring], _ path: [Substring]) -> Bool {
        template.count == path.count && zip(template, path).allSatisfy { $0.first == "{" || $0 == $1 }
    }

    private static func captures(_ template: [Substring]) -> Int {
        template.count { $0.first == "{" }
    }
}
