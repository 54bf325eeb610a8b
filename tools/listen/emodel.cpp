#include "tools/listen/emodel.h"

#include <algorithm>
#include <cmath>

namespace earshot::listen {
namespace {

// G.107 s7.2 and s7.3 with the defaults of Table 3: noises together are -61.18 dBm0p; loudness,
// side tone and quantising are Is. The side tone's dependence on T is far below 0.01 and left out.
constexpr double basic_ratio = 94.7688;       // Ro
constexpr double simultaneous_loss = 1.4136;  // Is
constexpr double noise_dbm0p = -61.1792;      // No
constexpr double receive_loudness_db = 2;     // RLR

// What a talker hears of himself: G.107 s7.4.
double talker_echo(double telr_db, double t_ms) {
  const double terv = telr_db - 40 * std::log10((1 + t_ms / 10) / (1 + t_ms / 150)) +
                      6 * std::exp(-0.3 * t_ms * t_ms);
  const double roe = -1.5 * (noise_dbm0p - receive_loudness_db);
  const double re = 80 + 2.5 * (terv - 14);
  const double half = (roe - re) / 2;
  return (half + std::sqrt(half * half + 100) - 1) * (1 - std::exp(-t_ms));
}

double listener_echo(double wepl_db, double tr_ms) {
  const double rle = 10.5 * (wepl_db + 7) * std::pow(tr_ms + 1, -0.25);
  const double half = (basic_ratio - rle) / 2;
  return half + std::sqrt(half * half + 169);
}

// What delay costs even without any echo.
double absolute_delay(double ta_ms) {
  if (ta_ms <= 100) return 0;
  const double x = std::log2(ta_ms / 100);
  return 25 * (std::pow(1 + std::pow(x, 6), 1.0 / 6) -
               3 * std::pow(1 + std::pow(x / 3, 6), 1.0 / 6) + 2);
}

}  // namespace

double mos_of_r(double r) {
  if (r >= 100) return 4.5;
  // Annex B; the polynomial dips below 1 for R below 6.5.
  return r <= 0 ? 1 : std::max(1.0, 1 + 0.035 * r + r * (r - 60) * (100 - r) * 7e-6);
}

Rating rate_call(const EModelOptions& options, Duration mouth_to_ear, double loss,
                 double burst_ratio) {
  const double t_ms = std::max(static_cast<double>(mouth_to_ear.ns) / 1e6, 0.0);
  const double loss_percent = std::clamp(loss, 0.0, 1.0) * 100;
  Rating rating;
  rating.id = talker_echo(options.telr_db, t_ms) + listener_echo(options.wepl_db, 2 * t_ms) +
              absolute_delay(t_ms);
  // Loss that is spread more evenly than chance would is not rated better than chance.
  const double spread = std::max(burst_ratio, 1.0);
  rating.ie_eff =
      options.ie + (95 - options.ie) * loss_percent / (loss_percent / spread + options.bpl);
  rating.r = basic_ratio - simultaneous_loss - rating.id - rating.ie_eff + options.advantage;
  rating.mos = mos_of_r(rating.r);
  return rating;
}

}  // namespace earshot::listen
