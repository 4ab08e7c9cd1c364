package terminal

import "charm.land/lipgloss/v2"

// theme is how things look. Nothing is told by colour alone: where there is none, the words and signs remain.
type theme struct {
	bold, faint, accent, warn, chosen lipgloss.Style
}

func newTheme() theme {
	return theme{
		bold:   lipgloss.NewStyle().Bold(true),
		faint:  lipgloss.NewStyle().Faint(true),
		accent: lipgloss.NewStyle().Foreground(lipgloss.Cyan),
		warn:   lipgloss.NewStyle().Bold(true).Foreground(lipgloss.Yellow),
		chosen: lipgloss.NewStyle().Reverse(true),
	}
}
