package dev.weft.core.program;

import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.Map;

/** Which step receives what another sends. */
public final class Transfers {
  /** A step of a stage. */
  public record At(int stage, int step) {}

  private record Letter(int from, int to, String name, int microBatch) {}

  private final Map<At, At> receivers = new LinkedHashMap<>();
  private final Map<At, At> senders = new LinkedHashMap<>();

  private Transfers() {}

  /**
   * Finds all transfers of a program.
   *
   * @throws IllegalStateException if something is sent and not received, received and not sent, or
   *     either twice
   */
  public static Transfers of(Program program) {
    Map<Letter, At> sends = new HashMap<>();
    Map<Letter, At> receives = new LinkedHashMap<>();
    for (StageProgram stage : program.stages()) {
      for (int i = 0; i < stage.steps().size(); i++) {
        Step step = stage.steps().get(i);
        var at = new At(stage.stage(), i);
        At twice = null;
        if (step instanceof Step.Send send) {
          String name = stage.buffers().get(send.buffer()).name();
          twice = sends.put(new Letter(at.stage(), send.stage(), name, send.microBatch()), at);
        } else if (step instanceof Step.Receive receive) {
          String name = stage.buffers().get(receive.buffer()).name();
          var letter = new Letter(receive.stage(), at.stage(), name, receive.microBatch());
          twice = receives.put(letter, at);
        }
        if (twice != null) {
          throw new IllegalStateException(
              program.name() + ": " + twice + " and " + at + " are the same transfer: " + step);
        }
      }
    }
    var transfers = new Transfers();
    receives.forEach(
        (letter, receive) -> {
          At send = sends.remove(letter);
          if (send == null) {
            throw new IllegalStateException(
                program.name() + ": nobody sends " + letter + ", received by " + receive);
          }
          transfers.receivers.put(send, receive);
          transfers.senders.put(receive, send);
        });
    if (!sends.isEmpty()) {
      throw new IllegalStateException(
          program.name() + ": nobody receives " + sends.keySet().iterator().next());
    }
    return transfers;
  }

  /** Who receives what a step sends. */
  public At receiver(int stage, int send) {
    return java.util.Objects.requireNonNull(receivers.get(new At(stage, send)));
  }

  /** Who sends what a step receives. */
  public At sender(int stage, int receive) {
    return java.util.Objects.requireNonNull(senders.get(new At(stage, receive)));
  }
}
