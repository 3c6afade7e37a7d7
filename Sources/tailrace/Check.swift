import ArgumentParser
import TailraceAgent

struct Check: ParsableCommand {
    static let configuration = CommandConfiguration(
        abstract: "Validates the configuration and says what would run; exit code 78 when it is wrong.")

    @OptionGroup var common: CommonOptions

    func run() throws {
        let configuration = try ConfigurationLoader.load(path: common.config)
        for warning in configuration.warnings { Tailrace.printError("warning: \(warning)") }
        print(ConfigurationReport.text(configuration))
    }
}
