package dev.weft.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.weft.runtime.machine.Machine;
import dev.weft.runtime.trainer.Generator;
import dev.weft.runtime.trainer.TrainConfig;
import java.util.Arrays;
import java.util.concurrent.Callable;
import picocli.CommandLine;
import picocli.CommandLine.Command;
import picocli.CommandLine.Option;

/** {@code weft bench decode}. */
@Command(
    name = "decode",
    mixinStandardHelpOptions = true,
    description = {
      "Times the generation of one token after another.",
      "Each needs all weights read once: the time that takes is the bound to compare with."
    })
final class DecodeBench implements Callable<Integer> {
  /** Tokens until Java has compiled what each of them runs. */
  private static final int WARMUP = 256;

  private static final int TOKENS = 128;

  @CommandLine.Spec CommandLine.Model.CommandSpec spec;

  @Option(names = "--format", defaultValue = "text", description = "text or json")
  EvalCommand.Format format;

  @Option(names = "--profile", description = "prints what each kernel took, by shapes")
  boolean profile;

  @Override
  public Integer call() {
    TrainConfig config = ConfigOptions.read(spec.commandLine(), TrainConfig.DEFAULT);
    ObjectNode result = new ObjectMapper().createObjectNode();
    try (Generator generator = Generator.untrained(config)) {
      for (int i = 0; i < WARMUP; i++) {
        generator.decode(0, i % config.sequence());
      }
      double[] seconds = new double[TOKENS];
      if (profile) {
        generator.startProfile();
      }
      for (int i = 0; i < TOKENS; i++) {
        long start = System.nanoTime();
        generator.decode(i % config.vocabulary(), place(i, config.sequence()));
        seconds[i] = (System.nanoTime() - start) * 1e-9;
      }
      if (profile) {
        BenchCommand.print(generator.profile(), "token", TOKENS);
      }
      Arrays.sort(seconds);
      double median = seconds[TOKENS / 2];
      double bandwidth = Machine.readBandwidth(config.cores());
      double bound = generator.parameterBytes() / bandwidth;
      result.put("seconds_per_token", median);
      result.put("seconds_per_token_min", seconds[0]);
      result.put("parameter_bytes", generator.parameterBytes());
      result.put("read_bytes_per_second", bandwidth);
      result.put("times_the_bound", median / bound);
    }
    if (format == EvalCommand.Format.JSON) {
      System.out.println(result);
    } else {
      result
          .properties()
          .forEach(entry -> System.out.printf("%-24s %s%n", entry.getKey(), entry.getValue()));
    }
    return 0;
  }

  /** A token looks at those before it: the places that are timed are spread over the context. */
  private static int place(int token, int sequence) {
    return (int) ((long) token * sequence / TOKENS);
  }
}
