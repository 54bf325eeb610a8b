// ITU-T G.107 (06/2015), the E-model: from delay and loss to the transmission rating R and to MOS.
// Any thread; pure functions. Narrow-band: the wide-band scale (G.107.1) ranks the same networks in
// the same order, and knows no published values for Opus.
#pragma once

#include "relay/base/time.h"

namespace earshot::listen {

// Defaults are those of G.107 Table 3 unless another source is named. What is not here (levels,
// noises, side tone) stays at its default, which gives R = 93.2 without delay and loss.
struct EModelOptions {
  double advantage = 0;  // A
  // The echo path of G.107 s7.4 with TELR = 65 dB, WEPL = 110 dB: one-way delays T = Ta, Tr = 2 Ta.
  double telr_db = 65;
  double wepl_db = 110;
  // Equipment impairment without loss. Opus has no value in G.113; at 24 kbit/s and more it is
  // better than G.711 on this scale: 0 is a judgement.
  double ie = 0;
  // Robustness against random loss. Opus has no value in G.113; it lies between G.729A with its
  // concealment (19) and G.711 with G.711 Appendix I (25.1): 20 is a judgement, and decides how
  // loss is weighed against delay.
  double bpl = 20;
};

struct Rating {
  double r = 0;
  double mos = 0;
  double id = 0;      // what delay and its echo cost
  double ie_eff = 0;  // what loss costs
};

// `loss` from 0 to 1 of the packets; `burst_ratio`: G.107 s7.5, 1 for random loss, above for
// bursts.
Rating rate_call(const EModelOptions& options, Duration mouth_to_ear, double loss,
                 double burst_ratio);
// G.107 Annex B, with R below zero as 1 and above 100 as 4.5.
double mos_of_r(double r);

}  // namespace earshot::listen
