import ArgumentParser
import TailraceAgent

struct Status: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Shows how the running agent stands: the balance, the lag, the last acknowledged ids.")

    @OptionGroup var common: CommonOptions

    @Flag(help: "One JSON object, for scripts.")
    var json = false

    func run() throws {
        let path = try ConfigurationLoader.places(ofConfigurationAt: common.config).controlSocket
        Tailrace.write(try ControlClient.ask(ControlRequest.status(isJSON: json).line, path: path), endsLine: json)
    }
}
