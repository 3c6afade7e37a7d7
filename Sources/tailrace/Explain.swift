import ArgumentParser
import Glibc
import TailraceAgent

struct Explain: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Says why a file is read, waits or is ignored, and how far it was read; also while no agent runs.")

    @OptionGroup var common: CommonOptions

    @Flag(help: "One JSON object, for scripts.")
    var json = false

    @Argument(help: "The file.")
    var path: String

    func run() throws {
        let path = PathExplanation.absolute(path, in: Tailrace.workingDirectory)
        let socket = try ConfigurationLoader.places(ofConfigurationAt: common.config).controlSocket
        do {
            let request = ControlRequest.explain(path: path, isJSON: json)
            Tailrace.write(try ControlClient.answer(to: request, path: socket), endsLine: json)
        } catch ControlError.notRunning {
            let explanation = try StoppedAgent.explain(path, ConfigurationLoader.load(path: common.config))
            Tailrace.write(json ? explanation.json : Array(explanation.text.utf8), endsLine: json)
        }
    }
}
